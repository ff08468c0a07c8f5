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
    fix="upstream's platform tag says too little, and only `armtorch build` raises what the recipe "
    "states: build it with that, or set `glibc` of the wheel's index in feedstock.yaml",
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
    fix="drop it and link to the dependency's (decision D3)",
)
BUILD_MACHINE: Final = Rule(
    id="L-013",
    severity="note",
    title="a search path leads out of the environment",
    fix="nothing as long as everything needed is found without it",
)

KEPT: Final = Rule(
    id="L-014",
    severity="error",
    title="a third-party library stays in the package",
    fix="drop it and link to a dependency's, or say in linkage_policy.yaml why it must stay",
)
TEXT_RELOCATIONS: Final = Rule(
    id="L-015",
    severity="error",
    title="code is changed while it is loaded",
    fix="report it upstream: it was built without -fPIC, and hardened systems refuse it",
)
EXECUTABLE_STACK: Final = Rule(
    id="L-016",
    severity="error",
    title="a binary asks for an executable stack",
    fix="report it upstream: glibc 2.41 and newer refuse to load it (link with -z noexecstack)",
)
NAME_TWICE: Final = Rule(
    id="L-017",
    severity="error",
    title="two files carry one library name",
    fix="drop one and put a link to the other in its place",
)
NAMELESS: Final = Rule(
    id="L-018",
    severity="note",
    title="a library that others need has no SONAME or install name",
    fix="nothing as long as it is found by its file name: the loader cannot tell two copies apart",
)
ABSOLUTE_NEED: Final = Rule(
    id="L-019",
    severity="error",
    title="a library is needed by an absolute path",
    fix="report it upstream: the path is a build machine's, no environment has it",
)
ABSOLUTE_NAME: Final = Rule(
    id="L-020",
    severity="error",
    title="a library's own name is an absolute path outside the system",
    fix="drop the copy, or report it upstream: what is linked with it will look for that path",
)
BUILD_FOLDER: Final = Rule(
    id="L-021",
    severity="note",
    title="a text file names a folder of a build machine",
    fix="add a patch to the file's rule in generator/data/layout.yaml",
)
TWO_RUNTIMES: Final = Rule(
    id="L-022",
    severity="error",
    title="packages installed together load two of what there may be only one",
    fix="drop the bundled copy and link to the dependency's (decision D3)",
)
UNMET: Final = Rule(
    id="L-023",
    severity="error",
    title="a library needs symbols that the torch beside it does not have",
    fix="pair it with a torch that has them: run armtorch update, which reads both (decision D14)",
)
UNKNOWN: Final = Rule(
    id="L-024",
    severity="note",
    title="a bundled library that nobody has looked at stays in the package",
    fix="nothing as long as no package of the environment has it too; a row in "
    "generator/data/sonames.yaml says what stands for it",
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
    KEPT,
    TEXT_RELOCATIONS,
    EXECUTABLE_STACK,
    NAME_TWICE,
    NAMELESS,
    ABSOLUTE_NEED,
    ABSOLUTE_NAME,
    BUILD_FOLDER,
    TWO_RUNTIMES,
    UNMET,
    UNKNOWN,
)
