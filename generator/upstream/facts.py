"""What a wheel says of itself in its dist-info, and where that is kept between runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from generator.model.cell import Sharing
from generator.model.closed import Closed
from generator.model.held import Finding
from generator.model.wheel import Metadata, MetadataOrigin
from generator.upstream.packed import Packed

T = TypeVar("T")
#: raised when the meaning of a cached fact changes, so that old ones are read anew
_FORMAT = "facts-5"


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


class Kept(Generic[T]):
    """Values of one type, by the same kind of key."""

    def __init__(self, folder: Path, kind: str, shape: type[T]) -> None:
        self._packed, self._shape = Packed(folder / _FORMAT, kind), shape

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
        self.records = Packed(folder / _FORMAT, "records")
        #: the end of the file from its central directory on, so that one member can be read alone
        self.directories = Packed(folder / _FORMAT, "directories")
        #: small members of any wheel, by their own sha256
        self.members = Packed(folder / _FORMAT, "members")
        #: what wheels share, by a key that stands for them
        self.sharing = Kept(folder, "sharing", tuple[Sharing, ...])
        #: what was found, by a key that stands for the wheel and the rules
        self.verdicts = Kept(folder, "verdicts", tuple[Finding, ...])
        #: what was read of symbols, by a key that stands for all that it depends on
        self.symbols = Packed(folder / _FORMAT, "symbols")
        #: what a URL gave, by a sha256 of it
        self.computed = Kept(folder, "computed", ComputedHash)
