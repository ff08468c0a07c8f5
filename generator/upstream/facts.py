"""What a wheel says of itself in its dist-info, and where that is kept between runs."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from generator import atomic
from generator.model.cell import Sharing
from generator.model.wheel import Metadata, MetadataOrigin

T = TypeVar("T")
#: raised when the meaning of a cached fact changes, so that old ones are read anew
_FORMAT = "facts-1"


@dataclass(frozen=True, kw_only=True)
class MetadataFacts:
    """METADATA, read."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    sha256: str
    origin: MetadataOrigin
    metadata: Metadata


@dataclass(frozen=True, kw_only=True)
class WheelFacts:
    """Everything the lock keeps of a wheel besides what the index says."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    metadata: MetadataFacts
    #: sha256 of RECORD
    record: str
    #: ``torchrun = torch.distributed.run:main``, sorted
    console_scripts: tuple[str, ...]
    #: file names directly under ``<top>/lib/``, sorted
    libraries: tuple[str, ...]
    #: bytes of the wheel, for indexes that do not say it
    size: int
    #: bytes of all members
    unpacked: int


@dataclass(frozen=True)
class FactsCache:
    """Facts by the sha256 of the wheel they are of; what never changes needs no expiry.

    A file that cannot be read as what it should be is read from upstream again.
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
        atomic.write_bytes(self._path("records", sha256, "z"), zlib.compress(record),
                           durable=False)
        self._store("wheels", sha256, WheelFacts, facts)

    def record(self, sha256: str) -> bytes | None:
        """Return the RECORD of the wheel ``sha256``, if kept."""
        try:
            return zlib.decompress(self._path("records", sha256, "z").read_bytes())
        except (FileNotFoundError, zlib.error):
            return None

    def sharing(self, key: str) -> Sharing | None:
        """Return what was found shared between the wheels that ``key`` stands for."""
        return self._load("sharing", key, Sharing)

    def keep_sharing(self, key: str, sharing: Sharing) -> None:
        """Keep what is shared between the wheels that ``key`` stands for."""
        self._store("sharing", key, Sharing, sharing)

    def _path(self, kind: str, key: str, suffix: str = "json") -> Path:
        return self.folder / _FORMAT / kind / key[:2] / f"{key}.{suffix}"

    def _load(self, kind: str, key: str, shape: type[T]) -> T | None:
        try:
            return TypeAdapter(shape).validate_json(self._path(kind, key).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def _store(self, kind: str, key: str, shape: type[T], value: T) -> None:
        atomic.write_bytes(self._path(kind, key), TypeAdapter(shape).dump_json(value),
                           durable=False)
