"""What a wheel says of itself in its dist-info, and where that is kept between runs."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from generator import atomic
from generator.documents import limits, read_bytes
from generator.model.cell import Sharing
from generator.model.closed import Closed
from generator.model.held import Finding
from generator.model.wheel import Metadata, MetadataOrigin

T = TypeVar("T")
#: raised when the meaning of a cached fact changes, so that old ones are read anew
_FORMAT = "facts-5"
#: bytes of the sha256 that stands before what is kept
_DIGEST = 32


@dataclass(frozen=True, kw_only=True)
class MetadataFacts(Closed):
    """METADATA, read."""

    sha256: str
    origin: MetadataOrigin
    metadata: Metadata


@dataclass(frozen=True, kw_only=True)
class WheelFacts(Closed):
    """Everything the lock keeps of a wheel besides what the index says."""

    metadata: MetadataFacts
    #: sha256 of RECORD
    record: str
    #: milliseconds of the newest member
    timestamp: int
    #: ``torchrun = torch.distributed.run:main``, sorted
    console_scripts: tuple[str, ...]
    #: file names directly under ``<top>/lib/`` and ``<top>.libs/``, sorted
    libraries: tuple[str, ...]
    #: paths where libraries for others to load lie (`is_bundled_place`), sorted
    bundled: tuple[str, ...]
    #: bytes of the wheel, for indexes that do not say it
    size: int
    #: bytes of all members
    unpacked: int


@dataclass(frozen=True, kw_only=True)
class ComputedHash(Closed):
    """The sha256 of a file whose index promises none, and the server's name for that version."""

    sha256: str
    #: bytes
    size: int
    #: a strong ETag (RFC 9110, 8.8.3); "" when the server gives none
    etag: str


class Packed:
    """Bytes of one kind by a key that never means others, so that they need no expiry.

    Each file begins with the sha256 of its name and content: what was damaged, or moved under
    another name, is read from upstream again.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder / _FORMAT / kind, kind

    def get(self, key: str) -> bytes | None:
        """Return what is kept under a key; None for what is not, or was damaged since."""
        try:
            packed = read_bytes(self._path(key), limits().zip.directory)
            whole = zlib.decompressobj().decompress(packed, 2 * limits().zip.directory)
        except (OSError, zlib.error):
            return None
        digest, content = whole[:_DIGEST], whole[_DIGEST:]
        return content if digest == self._digest(key, content) else None

    def keep(self, key: str, content: bytes) -> None:
        """Keep bytes under a key."""
        packed = zlib.compress(self._digest(key, content) + content)
        atomic.write_bytes(self._path(key), packed, durable=False)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.z"

    def _digest(self, key: str, content: bytes) -> bytes:
        return hashlib.sha256(f"{self._kind} {key}\n".encode() + content).digest()


class Kept(Generic[T]):
    """The same of values of one type."""

    def __init__(self, folder: Path, kind: str, shape: type[T]) -> None:
        self._packed, self._shape = Packed(folder, kind), shape

    @cached_property
    def _adapter(self) -> TypeAdapter[T]:
        return TypeAdapter(self._shape)

    def get(self, key: str) -> T | None:
        """Return what is kept under a key, if it still is of the type."""
        content = self._packed.get(key)
        try:
            return None if content is None else self._adapter.validate_json(content)
        except ValidationError:
            return None

    def keep(self, key: str, value: T) -> None:
        """Keep a value under a key."""
        self._packed.keep(key, self._adapter.dump_json(value))


class FactsCache:
    """What was read of wheels, by the sha256 of the wheel where nothing else is said."""

    def __init__(self, folder: Path) -> None:
        self.metadata = Kept(folder, "metadata", MetadataFacts)
        self.wheels = Kept(folder, "wheels", WheelFacts)
        self.records = Packed(folder, "records")
        #: the end of the file from its central directory on, so that one member can be read alone
        self.directories = Packed(folder, "directories")
        #: small members of any wheel, by their own sha256
        self.members = Packed(folder, "members")
        #: what wheels share, by a key that stands for them
        self.sharing = Kept(folder, "sharing", tuple[Sharing, ...])
        #: what was found, by a key that stands for the wheel and the rules
        self.verdicts = Kept(folder, "verdicts", tuple[Finding, ...])
        #: what was read of symbols, by a key that stands for all that it depends on
        self.symbols = Packed(folder, "symbols")
        #: what a URL gave, by a sha256 of it
        self.computed = Kept(folder, "computed", ComputedHash)
