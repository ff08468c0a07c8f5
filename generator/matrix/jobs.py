"""Variants as jobs of a CI: what a cell's Pythons share first, then some Pythons a job."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from generator.errors import SelectionError
from generator.matrix.lines import METAPACKAGES
from generator.model import Variant


@dataclass(frozen=True, kw_only=True)
class Job:
    """Variants that one machine builds and tests, in the order in which they can be."""

    #: ``2.10-linux-aarch64-cpu-shared`` or ``2.10-linux-aarch64-cpu-2``
    name: str
    #: of its packages; ``noarch`` for the metapackages
    subdir: str
    variants: tuple[Variant, ...]
    #: glob over the names of jobs whose packages its own need to be installed
    needs: str = ""

    @property
    def digest(self) -> str:
        """A key that changes when anything that its packages are made from does."""
        made = (f"{v.id} {v.build_number} {v.digest}" for v in self.variants)
        return hashlib.sha256("\n".join(made).encode()).hexdigest()[:20]


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """The two rounds of a CI's matrix."""

    shared: tuple[Job, ...]
    variants: tuple[Job, ...]

    @property
    def all(self) -> tuple[Job, ...]:
        """Both rounds."""
        return (*self.shared, *self.variants)


def jobs(
    found: Sequence[Variant], *, pythons_per_job: int, maximum: int, sample: bool = False
) -> Jobs:
    """Group variants into jobs.

    A job of the second round has all packages of some Pythons of a cell, so that what needs each
    other is built and tested together. Where there would be more jobs than a matrix may have,
    each takes more Pythons.
    ``found`` is in an order in which it can be built. A job has ``pythons_per_job`` at most, unless
    a round would have more than ``maximum`` jobs then. ``sample`` takes only the highest ordinary
    Python of each cell.
    Raises SelectionError: there are more cells than jobs.
    """
    shared, rest = _rounds(found)
    cells = {place: tuple(group) for place, group in groupby(sorted(rest, key=_place), _place)}
    if max(len(cells), len(shared)) > maximum:
        raise SelectionError(
            f"{len(cells)} cells are more than the {maximum} jobs a matrix may have",
            where="feedstock.yaml",
            next_step="ask for fewer trains or lines, or build one train at a time: --train",
        )
    size = pythons_per_job
    while True:
        made = tuple(
            job for place, group in cells.items() for job in _of_cell(place, group, size, sample)
        )
        if len(made) <= maximum:
            return Jobs(shared=shared, variants=made)
        size += 1


def find_job(found: Sequence[Job], name: str) -> Job:
    """Return the job of a name.

    Raises SelectionError: there is none; the lock the name is from was another one.
    """
    for job in found:
        if job.name == name:
            return job
    raise SelectionError(
        "there is no such job",
        where=name,
        next_step="list the jobs with: armtorch ci plan",
    )


def _place(variant: Variant) -> tuple[str, str, str]:
    return variant.line, variant.subdir, str(variant.accelerator)


def _rounds(found: Sequence[Variant]) -> tuple[tuple[Job, ...], tuple[Variant, ...]]:
    """Take out what several Pythons need, and the metapackages: those are the first round."""
    by_id = {variant.id: variant for variant in found}
    shared = {
        needed
        for variant in found
        if variant.python is not None
        for needed in variant.depends
        if needed in by_id and by_id[needed].python != variant.python
    }
    first = [each for each in found if each.line == METAPACKAGES or each.id in shared]
    made = tuple(
        Job(name=_name(place, "shared"), subdir=place[1], variants=tuple(group))
        for place, group in groupby(sorted(first, key=_cell), _cell)
    )
    taken = {variant.id for job in made for variant in job.variants}
    return made, tuple(variant for variant in found if variant.id not in taken)


def _cell(variant: Variant) -> tuple[str, str, str]:
    line, subdir, accelerator = _place(variant)
    return (METAPACKAGES, subdir, "") if line == METAPACKAGES else (line, subdir, accelerator)


def _of_cell(
    place: tuple[str, str, str], members: tuple[Variant, ...], size: int, sample: bool
) -> Iterator[Job]:
    pythons = sorted({v.python for v in members if v.python is not None})
    if sample:
        plain = [python for python in pythons if not python.freethreading]
        pythons = (plain or pythons)[-1:]
    needs = ",".join((_name(place, "shared"), f"{METAPACKAGES}-*"))
    for number, start in enumerate(range(0, max(len(pythons), 1), size), start=1):
        some = pythons[start : start + size]
        # what is for every Python is built with the first ones
        own = tuple(v for v in members if v.python in some or (v.python is None and number == 1))
        yield Job(
            name=_name(place, "sample" if sample else str(number)),
            subdir=place[1],
            variants=own,
            needs=f"{{{needs}}}",
        )


def _name(place: tuple[str, str, str], end: str) -> str:
    return "-".join(part for part in (*place, end) if part)
