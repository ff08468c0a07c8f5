"""Which cell serves which machine: what its packages ask for in `run`, and what a Jetson runs.

`armtorch doctor`, the page's table and its commands take it from here; the solver takes it from the
packages, whose requirements these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rattler import Version

from generator.datafiles import subdirs
from generator.explaining.computer import JETSON, Computer, jetpack_of, jetson, virtual_of
from generator.explaining.facts import jetpacks
from generator.explaining.notices import Notice, built, fatal
from generator.model import Cell, Lock
from generator.naming.virtual_packages import virtual_packages


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """A JetPack, and the cells whose packages run on it."""

    jetpack: str
    l4t: str
    cuda: str
    #: names of stable cells, what is best first
    cells: tuple[str, ...]


def asks(cell: Cell) -> tuple[str, ...]:
    """Return the virtual packages that a cell's torch asks of a machine, each once."""
    subdir = subdirs()[cell.subdir]
    found = (
        virtual_packages(
            wheel.platforms, subdir=subdir, accelerator=cell.accelerator, glibc=wheel.glibc
        )
        for wheel in cell.wheels_of("torch")
    )
    return tuple(dict.fromkeys(spec for specs in found for spec in specs))


def serves(cell: Cell, computer: Computer) -> bool:
    """Whether a cell's packages install and compute on a machine."""
    if computer.subdir != cell.subdir or (computer.musl and cell.subdir.startswith("linux")):
        return False
    accelerator, jetpack = cell.accelerator, jetpack_of(computer)
    on_board = accelerator.runs_on_jetson(sbsa=jetpack.sbsa) if jetpack else not accelerator.tegra
    return on_board and all(_has(computer.virtual_packages, spec) for spec in asks(cell))


def best_first(cells: Iterable[Cell]) -> list[Cell]:
    """Sort by what is to be offered first: CUDA, the newest torch, the newest line of CUDA."""
    return sorted(
        cells,
        key=lambda cell: (cell.accelerator.cuda is not None, Version(cell.torch), cell.accelerator),
        reverse=True,
    )


def boards(cells: Iterable[Cell]) -> Iterator[BoardRow]:
    """Say for every JetPack which stable cells serve it, the newest JetPack first."""
    there = [cell for cell in cells if cell.train == "stable" and cell.subdir == JETSON]
    for row in jetpacks():
        fitting = [cell for cell in there if serves(cell, jetson(row))]
        yield BoardRow(
            jetpack=row.jetpack,
            l4t=row.l4t,
            cuda=row.cuda,
            cells=tuple(cell.name for cell in best_first(fitting)),
        )


def _has(virtual: tuple[str, ...], spec: str) -> bool:
    """Whether a machine fulfils ``__glibc >=2.28``; its system's age where nobody knows it, too."""
    name, _, least = spec.partition(" >=")
    have = virtual_of(virtual, name).partition(" ")[0]
    if not have:
        return name != "__cuda"
    return not least or Version(have) >= Version(least)


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """All of ``armtorch doctor``."""

    computer: Computer
    #: ``2.10/linux-aarch64/cpu``; "" when no cell fits
    cell: str
    #: what it has beside its trio -> version
    companions: dict[str, str]
    command: str
    #: whether the command was solved on the channels, and why not
    verified: bool
    detail: str
    warnings: tuple[Notice, ...]


def fitting_cell(lock: Lock, computer: Computer) -> Cell | None:
    """Return the newest stable cell whose whole trio runs on the machine, CUDA where it can."""
    cells = [
        cell
        for cell in lock.cells
        if cell.train == "stable"
        and len(cell.trio) == 3
        and serves(cell, computer)
        and not fatal(computer.machine(), computer, [built(cell.subdir, "pytorch", cell.torch)])
    ]
    return next(iter(best_first(cells)), None)
