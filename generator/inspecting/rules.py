"""The audit's rules: stable ids, and for each what it means and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["error", "note"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing the audit can find. Ids are never reused: policy rows and issues name them."""

    id: str
    severity: Severity
    #: what it means to find it
    title: str
    #: what to do about it
    fix: str


MACHINE: Final = Rule(
    id="L-001",
    severity="error",
    title="a binary is for another machine",
    fix="the wheel's platform tag lies, or a member was swapped: compare with upstream",
)
CORRUPT: Final = Rule(
    id="L-002",
    severity="error",
    title="a binary's headers are corrupt",
    fix="compare the wheel's sha256 with the lock and fetch it again",
)
NOBODY: Final = Rule(
    id="L-003",
    severity="error",
    title="a library is needed that nobody provides",
    fix="add a row to generator/data/sonames.yaml, or accept it in linkage_policy.yaml",
)
UNDECLARED: Final = Rule(
    id="L-004",
    severity="error",
    title="a package provides a needed library and is no dependency",
    fix="add the library to the package's row under `needs` in generator/data/sonames.yaml",
)
UNREACHABLE: Final = Rule(
    id="L-005",
    severity="error",
    title="the loader does not look where a needed library is",
    fix="put a link beside the binary, or accept it in linkage_policy.yaml with the reason",
)
FLOOR_TOO_LOW: Final = Rule(
    id="L-006",
    severity="error",
    title="binaries need a newer system than the package declares",
    fix="raise __glibc or __osx in the recipe: upstream's platform tag is wrong",
)
FLOOR_HIGHER: Final = Rule(
    id="L-007",
    severity="note",
    title="the package declares a newer system than binaries need",
    fix="nothing: the wheel's platform tag is upstream's word and may know more",
)
UNUSED: Final = Rule(
    id="L-008",
    severity="note",
    title="no binary needs a library of a declared dependency",
    fix="take the library out of the package's row under `needs` in generator/data/sonames.yaml",
)
COMPATIBILITY: Final = Rule(
    id="L-009",
    severity="error",
    title="a dependency may be older than the library needed",
    fix="raise the library's spec in generator/data/sonames.yaml to the version named",
)
ESCAPES: Final = Rule(
    id="L-010",
    severity="error",
    title="a link leaves the environment or is absolute",
    fix="a link must lead to a file of the package or of a dependency, relatively",
)
DANGLES: Final = Rule(
    id="L-011",
    severity="error",
    title="a link leads to a file that nobody provides",
    fix="add the file's library to generator/data/sonames.yaml, or mend the link",
)
BUNDLED: Final = Rule(
    id="L-012",
    severity="note",
    title="a library is bundled that a package provides",
    fix="drop it and link to the dependency's (design D3)",
)
BUILD_MACHINE: Final = Rule(
    id="L-013",
    severity="note",
    title="a search path leads out of the environment",
    fix="nothing as long as everything needed is found without it",
)

RULES: Final = (
    MACHINE,
    CORRUPT,
    NOBODY,
    UNDECLARED,
    UNREACHABLE,
    FLOOR_TOO_LOW,
    FLOOR_HIGHER,
    UNUSED,
    COMPATIBILITY,
    ESCAPES,
    DANGLES,
    BUNDLED,
    BUILD_MACHINE,
)
