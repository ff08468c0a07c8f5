"""The page's grid: every cell, what the channel has of it, and what other channels have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from generator.channel import Record
from generator.channel.retention import series_of
from generator.explaining import ChannelOffer, Coverage, boards
from generator.matrix import CellView, MatrixView
from generator.model import Accelerator, Cell, PythonBuild
from generator.model.cell import Absence
from generator.page.content import CoverageCell, CoverageRow
from generator.page.records import Listed

#: machine, accelerator, Python, train and version
Place = tuple[str, str, str, str, str]


def accelerator_name(value: str, machine: str = "") -> str:
    """Return how people call an accelerator: ``CUDA 13.0``."""
    if value == "cpu":
        return "CPU and MPS" if machine.startswith("osx") else "CPU"
    if value == "cuda":
        return "CUDA"
    accelerator = Accelerator.parse(value)
    board = " for Jetson" if accelerator.tegra else ""
    return f"CUDA {accelerator.cuda_compiler_version}{board}"


def in_order(value: str) -> tuple[object, ...]:
    """Sort ``3.9`` before ``3.11`` and ``3.14`` before ``3.14t``; newest trains come first."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", value))


def python_of(record: Record) -> str:
    """Return the Python that a record is for, ``3.14t``; "" for any."""
    return str(PythonBuild.of_depends(record.depends) or "")


def place_of(each: Listed) -> Place:
    """Return the place in the grid of a pytorch."""
    record = each.record
    return (
        record.subdir,
        series_of(record)[2],
        python_of(record),
        each.train,
        record.version,
    )


def _elsewhere(others: Coverage | None) -> dict[tuple[str, str], dict[str, str]]:
    rows = others.rows if others is not None else ()
    return {
        (row.subdir, row.accelerator): {each.channel: _theirs(each) for each in row.theirs}
        for row in rows
        if row.package == "pytorch"
    }


def _theirs(offer: ChannelOffer) -> str:
    if offer.state not in {"answered", "cached"}:
        return f"not known: the channel is {offer.state}"
    if not offer.version:
        return "nothing"
    late = "" if offer.lag_days is None else f", {offer.lag_days} days after upstream"
    return f"{offer.version}{late}"


def coverage_rows(
    view: MatrixView,
    there: Sequence[Listed],
    blocked: Mapping[Place, str],
    others: Coverage | None,
) -> tuple[CoverageRow, ...]:
    """Put together the grid of cells.

    ``blocked`` says why a place cannot be installed.
    """
    elsewhere = _elsewhere(others)
    here = {place_of(each) for each in there if each.record.name == "pytorch"}
    rows = [
        CoverageRow(
            machine=cell.subdir,
            accelerator=accelerator_name(cell.accelerator, cell.subdir),
            line=cell.line,
            train=cell.train,
            version=cell.trio["torch"],
            trio={**cell.trio, **cell.fill},
            cells=_pythons(cell, here, blocked),
            elsewhere=elsewhere.get((cell.subdir, cell.accelerator), {}),
            held=(
                *(f"{row.subject} is held back: {row.reason}" for row in cell.held),
                *(f"{row.package}: {row.reason}: {row.detail}" for row in _beside_torch(cell)),
                *(
                    f"{name}, which may have a newer one, does not answer since {day}"
                    for name, day in cell.behind.items()
                ),
            ),
        )
        for cell in view.cells
    ]
    rows += (
        CoverageRow(
            machine=gone.subdir,
            accelerator=accelerator_name(gone.accelerator, gone.subdir),
            line="",
            train=gone.train,
            version="",
            trio={},
            elsewhere=elsewhere.get((gone.subdir, gone.accelerator), {}),
            reason=f"{gone.reason}: {gone.detail}",
        )
        for gone in view.absent
    )
    return (*rows, *_held_rows(view))


def _pythons(
    cell: CellView, here: AbstractSet[Place], blocked: Mapping[Place, str]
) -> dict[str, CoverageCell]:
    """Say of each Python of a cell, had or missed, what there is of its pytorch."""
    held = {str(row.python): row for row in cell.held if row.project == "torch" and row.python}
    lost = {row.python: row for row in cell.missing if row.package in {"torch", "pytorch", ""}}
    version = cell.trio["torch"]
    found = {}
    for python in sorted({*cell.pythons, *filter(None, lost), *held}, key=in_order):
        place = (cell.subdir, cell.accelerator, python, cell.train, version)
        if place in blocked:
            found[python] = CoverageCell(state="blocked", reason=blocked[place])
        elif place in here:
            found[python] = CoverageCell(state="here", version=version)
        elif python in held:
            found[python] = CoverageCell(state="held", reason=held[python].reason)
        elif (missing := lost.get(python)) is not None:
            why = f"{missing.reason}: {missing.detail}"
            found[python] = CoverageCell(state="absent", reason=why)
        else:
            why = "known upstream, not on this channel"
            found[python] = CoverageCell(state="unbuilt", reason=why)
    return found


def _beside_torch(cell: CellView) -> Iterable[Absence]:
    """Return what a cell lacks of other packages, once where the same is said of all Pythons."""
    rows = (row for row in cell.missing if row.package not in {"torch", "pytorch", ""})
    return {(row.package, row.detail): row for row in rows}.values()


def _held_rows(view: MatrixView) -> list[CoverageRow]:
    return [
        CoverageRow(
            machine=row.subdir,
            accelerator=accelerator_name(row.accelerator, row.subdir),
            line=row.line,
            train=row.train,
            version=row.version,
            trio={},
            reason=f"held back since {row.since}: {row.reason}",
        )
        for row in view.held
    ]


def board_rows(cells: Iterable[Cell]) -> tuple[tuple[str, str], ...]:
    """Say for Jetson's JetPacks what serves them best; those that are served alike in one row."""
    by_name = {cell.name: cell for cell in cells}
    if not any(cell.accelerator.cuda and "linux" in cell.subdir for cell in by_name.values()):
        return ()
    found: dict[str, list[str]] = {}
    for row in boards(by_name.values()):
        cell = by_name[row.cells[0]] if row.cells else None
        words = (
            f"torch {cell.torch}, {accelerator_name(str(cell.accelerator))} ({cell.name})"
            if cell is not None
            else "nothing: its system is too old"
        )
        found.setdefault(words, []).append(row.jetpack)
    return tuple(
        (f"JetPack {', '.join(dict.fromkeys(packs))}", words) for words, packs in found.items()
    )
