"""What `armtorch verify` says of a package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from generator.building import Expected
from generator.model import Metadata, RaisedFloor

#: proven: it is to the byte what the lock renders, but for how zstd packed it
#: self-consistent: everything fits together, and no lock with its recipe was at hand
#: not provable: armtorch did not make it
#: refuted: something is not what it has to be, or the file is not as armtorch seals packages
Verdict = Literal["proven", "self-consistent", "not provable", "refuted"]


@dataclass(frozen=True)
class Flaw:
    """Something that is not as it has to be, and the file it is in."""

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """ELF, Mach-O and PE files, and how many of their bytes are upstream's unchanged."""

    files: int = 0
    bytes: int = 0
    unchanged_bytes: int = 0

    @property
    def share(self) -> float:
        """1.0 where every byte is upstream's, also where there are none."""
        return self.unchanged_bytes / self.bytes if self.bytes else 1.0


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The outcome for one package."""

    package: str
    verdict: Verdict
    flaws: tuple[Flaw, ...] = ()
    purl: str = ""
    commit: str = ""
    #: files by kind: unchanged, patched, linked, generated; members dropped, elsewhere, replaced
    counts: Mapping[str, int] = field(default_factory=dict)
    binaries: Binaries = Binaries()
    #: patched files, and what was replaced by what
    patches: Mapping[str, str] = field(default_factory=dict)
    #: where it asks for a newer system than its recipe, by a binary that was seen to need it
    floor: RaisedFloor | None = None
    #: whether the recipe in the package is that of this feedstock's lock, where that is known
    recipe: Literal["the lock's", "unknown"] = "unknown"
    #: what was not looked at, and why
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known from outside the package."""

    #: the package that the lock renders under this name
    expected: Expected | None = None
    #: whose word -> sha256 of upstream's RECORD
    records: Mapping[str, str] = field(default_factory=dict)
    #: what the lock says is in its wheel's METADATA
    metadata: Metadata | None = None
