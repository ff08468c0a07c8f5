"""The toolchains there are, and what compiling takes: ``generator/data/compiling.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from generator.datafiles import load_data
from generator.errors import SelectionError
from generator.feedstock import Source
from generator.model.closed import Closed


@dataclass(frozen=True, kw_only=True)
class Toolchain(Closed):
    """A cross compiler of one Debian release."""

    subdir: str
    suite: str
    #: Debian's name of the target's
    architecture: str
    tools: tuple[str, ...]
    #: globs over names of packages
    compiler: tuple[str, ...]
    flags: str
    assembler: str
    cmake: dict[str, str]
    environment: dict[str, str]
    #: tag of the wheels
    platform: str


@dataclass(frozen=True, kw_only=True)
class RootCost(Closed):
    """Bytes that are fetched for a root, and that it takes."""

    download: int
    disk: int


@dataclass(frozen=True, kw_only=True)
class Cost(Closed):
    """What one target takes, with all that it needs."""

    project: str
    target: str
    units: int
    #: of processor time
    seconds: int
    #: bytes of the tree and of ccache
    disk: int
    estimated: bool = False


@dataclass(frozen=True, kw_only=True)
class Memory(Closed):
    """Bytes of memory that units take."""

    largest: int
    large: int
    usual: int

    def of(self, jobs: int) -> int:
        """Return what so many units at once take at most."""
        many = min(jobs, self.large)
        return many * self.largest + (jobs - many) * self.usual


@dataclass(frozen=True, kw_only=True)
class Compiling(Closed):
    """The file."""

    toolchains: tuple[Toolchain, ...]
    root: RootCost
    costs: tuple[Cost, ...] = field(default=())
    memory: Memory


@cache
def compiling() -> Compiling:
    """Read the file; raises DataError."""
    return load_data("compiling.yaml", Compiling)


def toolchain_of(source: Source) -> Toolchain:
    """Return the toolchain of a row; raises SelectionError where there is none."""
    for row in compiling().toolchains:
        if (row.subdir, row.suite) == (source.subdir, source.suite):
            return row
    known = ", ".join(f"{row.subdir} from {row.suite}" for row in compiling().toolchains)
    raise SelectionError(
        f"there is no toolchain for {source.subdir} from {source.suite}, only for {known}",
        where="feedstock.yaml, sources",
        next_step="take one of those",
    )
