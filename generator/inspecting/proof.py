"""What `armtorch verify` says of a package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from generator.model import RaisedFloor

#: proven (wheel): every file is accounted for, and upstream's bytes are those of the wheel at hand
#: proven (RECORD): the same, by a RECORD whose sha256 was known beforehand
#: self-consistent: everything fits together, and nothing from outside the package was at hand
#: nothing to prove: the package has no files
#: not provable: it carries no manifest of armtorch's
#: refuted: a file is not what the package says, or the package cannot be read safely
Verdict = Literal[
    "proven (wheel)",
    "proven (RECORD)",
    "self-consistent",
    "nothing to prove",
    "not provable",
    "refuted",
]


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
    counts: Mapping[str, int]
    binaries: Binaries = Binaries()
    #: patched files, and what was replaced by what
    patches: Mapping[str, str]
    #: where it asks for a newer system than its recipe, by a binary that was seen to need it
    floor: RaisedFloor | None = None
    #: whether the recipe in the package is that of this feedstock's lock, where that is known
    recipe: Literal["the lock's", "unknown"] = "unknown"
    #: what was not looked at, and why
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known from outside the package."""

    wheel: Path | None = None
    #: of upstream's RECORD
    record_sha256: str | None = None
    #: of the wheel, and its bytes, as the lock has them
    wheel_sha256: str | None = None
    wheel_size: int | None = None
    purl: str | None = None
    #: files of the recipe folder that the package says it was made from, by name
    recipe: Mapping[str, bytes] | None = None
    #: fields that files below info/ have to have by that recipe, by file
    metadata: Mapping[str, Mapping[str, object]] | None = None
