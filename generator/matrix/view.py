"""What there is and what there is not, with the reason for everything absent."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pydantic import TypeAdapter

from generator.datafiles import subdirs
from generator.feedstock import Feedstock
from generator.matrix.lines import wanted_pythons
from generator.matrix.variants import variants
from generator.model import Cell, Held, HeldCell, Lock, PythonBuild, Variant
from generator.model.cell import Absence, CellAbsence
from generator.model.closed import Closed
from generator.packages import known_as, packages, projects, shared


@dataclass(frozen=True, kw_only=True)
class BlockedVariant(Closed):
    """A variant that cannot be installed from its base channels."""

    id: str
    #: requirements without a solution: each for itself, or all of them together
    by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BaseVerdict(Closed):
    """What the solver said of a cell's variants."""

    channels: tuple[str, ...]
    virtual_packages: tuple[str, ...]
    blocked: tuple[BlockedVariant, ...]
    #: where something is blocked: Python of the cell's wheels -> the first base channel that has
    #: it, "" where none does
    pythons: dict[str, str]

    @property
    def no_python(self) -> tuple[str, ...]:
        """The Pythons of the cell's wheels that no base channel has."""
        return tuple(python for python, channel in self.pythons.items() if not channel)


@dataclass(frozen=True, kw_only=True)
class CellView(Closed):
    """A cell that exists: its trio, its Pythons, its variants and what it lacks."""

    name: str
    line: str
    train: str
    subdir: str
    accelerator: str
    trio: dict[str, str]
    #: what the base channel lacks and is repacked, too
    fill: dict[str, str]
    pythons: tuple[str, ...]
    #: ids
    variants: tuple[str, ...]
    missing: tuple[Absence, ...]
    #: releases and wheels of upstream's that it is not given, and why
    held: tuple[Held, ...]
    #: names of the indexes its wheels are from
    indexes: tuple[str, ...]
    #: whether a wheel's sha256 was computed here at the first fetch, since its index promises none
    computed_hashes: bool
    #: rc and nightly: ``candidate 2 of 2026-11-20``
    candidate: str
    #: the day since which an index does not answer, "" when all do
    unreachable_since: str
    #: index that may have a newer torch -> the day since which it does not answer
    behind: dict[str, str]
    #: None where no base channel was asked
    base: BaseVerdict | None = None


@dataclass(frozen=True, kw_only=True)
class SubdirView(Closed):
    """How much there is for one conda subdir, of all that armtorch knows."""

    name: str
    cells: int
    variants: int
    #: what is known of PyTorch for it, where that needs saying
    note: str


@dataclass(frozen=True, kw_only=True)
class MatrixView(Closed):
    """The whole of ``armtorch matrix``."""

    cells: tuple[CellView, ...]
    #: ids of the packages that exist once for every platform
    metapackages: tuple[str, ...]
    absent: tuple[CellAbsence, ...]
    #: torch releases that no cell is made of, by the place they would be for
    held: tuple[HeldCell, ...]
    #: every subdir, served or not
    subdirs: tuple[SubdirView, ...]


def matrix_view(feedstock: Feedstock, lock: Lock) -> MatrixView:
    """Show every cell and variant, and the reason for each absent one."""
    found = variants(feedstock, lock)
    return MatrixView(
        cells=tuple(
            _cell(feedstock, lock, cell, found)
            for cell in sorted(
                lock.cells, key=lambda cell: (cell.line, cell.subdir, cell.accelerator)
            )
        ),
        metapackages=tuple(each.id for each in found if each.subdir == "noarch"),
        absent=lock.absent,
        held=lock.held,
        subdirs=tuple(
            SubdirView(
                name=subdir.name,
                cells=sum(cell.subdir == subdir.name for cell in lock.cells),
                variants=sum(each.subdir == subdir.name for each in found),
                note=subdir.note,
            )
            for subdir in subdirs().values()
        ),
    )


def matrix_json(view: MatrixView) -> str:
    """Return the view as JSON, as ``armtorch matrix --json`` prints it."""
    content = TypeAdapter(MatrixView).dump_python(view, mode="json")
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def matrix_schema() -> str:
    """Return the JSON Schema of `matrix_json`'s output."""
    schema = TypeAdapter(MatrixView).json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _cell(feedstock: Feedstock, lock: Lock, cell: Cell, found: tuple[Variant, ...]) -> CellView:
    pythons = wanted_pythons(feedstock, cell)
    return CellView(
        name=cell.name,
        line=cell.line,
        train=cell.train,
        subdir=cell.subdir,
        accelerator=str(cell.accelerator),
        trio={str(project): version for project, version in cell.trio.items()},
        fill={str(project): version for project, version in cell.fill.items()},
        pythons=tuple(str(python) for python in pythons),
        variants=tuple(
            each.id
            for each in found
            if (each.line, each.subdir, each.accelerator)
            == (cell.line, cell.subdir, cell.accelerator)
        ),
        missing=tuple(_missing(feedstock, cell, pythons)),
        held=cell.held,
        indexes=tuple(dict.fromkeys(wheel.index for wheel in cell.wheels)),
        computed_hashes=any(wheel.hash_origin == "computed" for wheel in cell.wheels),
        candidate=str(cell.candidate or ""),
        unreachable_since=cell.unreachable_since,
        behind={name: lock.silent.get(name, "") for name in cell.behind},
    )


def _missing(feedstock: Feedstock, cell: Cell, pythons: tuple[PythonBuild, ...]) -> list[Absence]:
    """List what the lock says is absent, and what it says nothing about but has no wheel."""
    said = {(row.package, row.python) for row in cell.absent}
    said |= {(row.project, str(row.python or "")) for row in cell.held if not row.instead}
    unsaid = [
        (package, project, python)
        for package, project in projects().items()
        for python in pythons
        if package not in shared()
        and package == known_as(package)
        and project in {*feedstock.packages, *feedstock.companions}
        and packages()[package].wanted(cell.subdir, cell.accelerator)
        and cell.wheel(project, python) is None
        and not said & {(package, str(python)), (package, ""), ("", str(python)), ("", "")}
    ]
    return [*cell.absent] + [
        Absence(
            package=package,
            python=str(python),
            reason="absent",
            detail=f"upstream serves no {project} wheel for {python} on {cell.subdir}",
        )
        for package, project, python in unsaid
    ]
