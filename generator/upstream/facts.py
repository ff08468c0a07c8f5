"""What a wheel says of itself in its dist-info, and where that is kept between runs."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from generator import atomic
from generator.documents import limits, read_bytes
from generator.model.closed import Closed
from generator.model.held import Finding
from generator.model.wheel import Metadata, MetadataOrigin
from generator.upstream.sharing import Comparison

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


@dataclass(frozen=True)
class FactsCache:
    """Facts by the sha256 of the wheel they are of; what never changes needs no expiry.

    Each file begins with the sha256 of its name and content: what was damaged, or moved under
    another name, is read from upstream again.
    """

    folder: Path

    def metadata(self, sha256: str) -> MetadataFacts | None:
        """Return the METADATA facts of a wheel, if known."""
        return self._load("metadata", sha256, MetadataFacts)

    def keep_metadata(self, sha256: str, facts: MetadataFacts) -> None:
        """Keep the METADATA facts of the wheel ``sha256``."""
        self._store("metadata", sha256, MetadataFacts, facts)

    def wheel(self, sha256: str) -> WheelFacts | None:
        """Return all facts of a wheel, if known."""
        return self._load("wheels", sha256, WheelFacts)

    def keep_wheel(self, sha256: str, facts: WheelFacts, record: bytes) -> None:
        """Keep the facts and the RECORD of the wheel ``sha256``."""
        self.keep_metadata(sha256, facts.metadata)
        self._pack("records", sha256, record)
        self._store("wheels", sha256, WheelFacts, facts)

    def record(self, sha256: str) -> bytes | None:
        """Return the RECORD of the wheel ``sha256``, if kept."""
        return self._unpacked("records", sha256)

    def directory(self, sha256: str) -> bytes | None:
        """Return the end of the wheel ``sha256`` from its central directory on, if kept."""
        return self._unpacked("directories", sha256)

    def keep_directory(self, sha256: str, directory: bytes) -> None:
        """Keep the end of the wheel ``sha256``, so that one member can be read alone later."""
        self._pack("directories", sha256, directory)

    def comparison(self, key: str) -> Comparison | None:
        """Return how the wheels that ``key`` stands for compare, if known."""
        return self._load("comparisons", key, Comparison)

    def keep_comparison(self, key: str, comparison: Comparison) -> None:
        """Keep how the wheels that ``key`` stands for compare."""
        self._store("comparisons", key, Comparison, comparison)

    def member(self, sha256: str) -> bytes | None:
        """Return the member of any wheel that has this sha256, if kept."""
        return self._unpacked("members", sha256)

    def keep_member(self, sha256: str, content: bytes) -> None:
        """Keep a small member, by its own sha256."""
        self._pack("members", sha256, content)

    def verdict(self, key: str) -> tuple[Finding, ...] | None:
        """Return what was found in the wheel and by the rules that ``key`` stands for, if known."""
        return self._load("verdicts", key, tuple[Finding, ...])

    def keep_verdict(self, key: str, found: tuple[Finding, ...]) -> None:
        """Keep what was found in a wheel."""
        self._store("verdicts", key, tuple[Finding, ...], found)

    def symbols(self, key: str) -> bytes | None:
        """Return what was read of symbols under ``key``, if kept."""
        return self._unpacked("symbols", key)

    def keep_symbols(self, key: str, content: bytes) -> None:
        """Keep what was read of symbols; ``key`` stands for all that it depends on."""
        self._pack("symbols", key, content)

    def computed(self, key: str) -> ComputedHash | None:
        """Return the sha256 that was computed of what a URL gave, ``key`` being its name."""
        return self._load("computed", key, ComputedHash)

    def keep_computed(self, key: str, found: ComputedHash) -> None:
        """Keep the sha256 of what a URL gave."""
        self._store("computed", key, ComputedHash, found)

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / _FORMAT / kind / key[:2] / f"{key}.z"

    def _load(self, kind: str, key: str, shape: type[T]) -> T | None:
        content = self._unpacked(kind, key)
        if content is None:
            return None
        try:
            return TypeAdapter(shape).validate_json(content)
        except ValidationError:
            return None

    def _store(self, kind: str, key: str, shape: type[T], value: T) -> None:
        self._pack(kind, key, TypeAdapter(shape).dump_json(value))

    def _pack(self, kind: str, key: str, content: bytes) -> None:
        packed = zlib.compress(_digest(kind, key, content) + content)
        atomic.write_bytes(self._path(kind, key), packed, durable=False)

    def _unpacked(self, kind: str, key: str) -> bytes | None:
        """Return what was packed under this name; None for what was not, or was damaged since."""
        try:
            packed = read_bytes(self._path(kind, key), limits().zip.directory)
            decompressor = zlib.decompressobj()
            whole = decompressor.decompress(packed, 2 * limits().zip.directory)
        except (OSError, zlib.error):
            return None
        digest, content = whole[:_DIGEST], whole[_DIGEST:]
        return content if digest == _digest(kind, key, content) else None


def _digest(kind: str, key: str, content: bytes) -> bytes:
    return hashlib.sha256(f"{kind} {key}\n".encode() + content).digest()
