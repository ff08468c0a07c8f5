"""Which rows and targets are made, and what that takes, from committed figures."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from generator.compiling.toolchain import Cost, Memory, compiling, toolchain_of
from generator.errors import SelectionError
from generator.feedstock import Source

#: what every row ends with
WHEEL: Final = "wheel"
#: memory that is left to everybody else
_SPARED: Final = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one row's targets take. Figures are None where nobody has measured them."""

    name: str
    source: Source
    targets: tuple[str, ...]
    jobs: int
    #: bytes that so many jobs may take at once
    memory: int
    cost: Cost | None
    #: bytes: the root, the tree and the cache
    disk: int | None

    @property
    def hours(self) -> float | None:
        """Hours of this many jobs, each with a processor of its own."""
        return None if self.cost is None else self.cost.seconds / self.jobs / 3600

    def sentences(self) -> Iterable[str]:
        """Say it before it starts."""
        wanted = f"{self.name}: {self.source.project} {self.source.full_version}"
        yield f"{wanted} for {self.source.subdir}: {', '.join(self.targets)}"
        memory = f"memory up to {self.memory / 1e9:.1f} GB"
        if self.cost is None or self.hours is None:
            yield f"  {self.jobs} jobs, {memory}; how long it takes was never measured"
            return
        hours = f"{self.hours:.1f} h" if self.hours >= 1 else f"{self.hours * 60:.0f} min"
        about = "estimated from a part of it: " if self.cost.estimated else ""
        yield (
            f"  {about}{self.cost.units} units, {hours} with {self.jobs} jobs on processors of "
            f"their own, {memory}, disk {(self.disk or 0) / 1e9:.1f} GB"
        )


def select(sources: Mapping[str, Source], globs: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the targets that globs over ``<row>/<target>`` take, a row's name being all of it.

    Raises SelectionError: there are no rows, or a glob takes nothing.
    """
    if not sources:
        raise SelectionError(
            "there are no rows `sources`",
            where="feedstock.yaml",
            next_step="write one: docs/compiling.md",
        )
    ids = {
        f"{name}/{target}": (name, target)
        for name, source in sources.items()
        for target in (*source.targets, WHEEL)
    }
    found: dict[str, list[str]] = {}
    for glob in globs or ("*",):
        pattern = glob if "/" in glob else f"{glob}/*"
        taken = [where for each, where in ids.items() if fnmatch.fnmatchcase(each, pattern)]
        if not taken:
            raise SelectionError(
                f"{glob} takes nothing", where=", ".join(ids), next_step="name some of these"
            )
        for name, target in taken:
            found.setdefault(name, []).append(target)
    return {
        name: tuple(each for each in (*source.targets, WHEEL) if each in found[name])
        for name, source in sources.items()
        if name in found
    }


def plan(name: str, source: Source, targets: tuple[str, ...], jobs: int | None) -> Plan:
    """Plan one row for this machine."""
    toolchain_of(source)
    figures = compiling()
    many = jobs or fitting_jobs(len(os.sched_getaffinity(0)), free_memory(), figures.memory)
    last = targets[-1]
    rows = {(row.project, row.target): row for row in figures.costs}
    cost = rows.get((source.project, last))
    return Plan(
        name=name,
        source=source,
        targets=targets,
        jobs=many,
        memory=figures.memory.of(many),
        cost=cost,
        disk=None if cost is None else cost.disk + figures.root.disk + figures.root.download,
    )


def fitting_jobs(cores: int, free: int, memory: Memory) -> int:
    """Return how many units at once fit into memory even if the largest ones meet, one at least."""
    fitting = (jobs for jobs in range(cores, 1, -1) if memory.of(jobs) <= free - _SPARED)
    return next(fitting, 1)


def free_memory() -> int:
    """Return the bytes of memory that can be had, from /proc/meminfo (proc_meminfo(5))."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
