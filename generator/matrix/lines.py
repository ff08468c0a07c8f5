"""The cells of a line, and which variant keys its recipes tell them apart by (decision D11)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from generator.errors import LockError
from generator.feedstock import Feedstock
from generator.model import Cell, Lock, PythonBuild, Wheel
from generator.packages import projects, shared

#: line of the packages that are the same for every release
METAPACKAGES: Final = "metapackages"


@dataclass(frozen=True, kw_only=True)
class LineCells:
    """One line: the cells that share its recipes."""

    name: str
    cells: tuple[Cell, ...]

    @property
    def tegra(self) -> bool:
        """Whether recipes need the key ``arm_variant_type`` to tell Jetson from server boards."""
        return any(cell.accelerator.tegra for cell in self.cells)

    @property
    def grouped(self) -> bool:
        """Whether the shared packages need the key ``python``: a cell has several of each."""
        return any(cell.apart for cell in self.cells)

    @property
    def subdirs(self) -> tuple[str, ...]:
        """The subdirs of its cells, sorted."""
        return tuple(sorted({cell.subdir for cell in self.cells}))

    def per_python(self, package: str) -> bool:
        """Whether a package is made once per Python: as soon as one wheel of the line is."""
        if package not in projects() or package in shared():
            return False
        return any(
            wheel.python is not None
            for cell in self.cells
            for wheel in cell.wheels_of(projects()[package])
        )


def lines(lock: Lock) -> tuple[LineCells, ...]:
    """Group the lock's cells into lines, sorted by name and within by subdir and accelerator.

    Raises LockError: a line has two cells of one subdir and accelerator.
    """
    found: dict[str, list[Cell]] = {}
    for cell in lock.cells:
        found.setdefault(cell.line, []).append(cell)
    for name, cells in found.items():
        cells.sort(key=lambda cell: (cell.subdir, cell.accelerator))
        keys = [(cell.subdir, cell.accelerator) for cell in cells]
        if len(set(keys)) != len(keys):
            raise LockError(
                f"line {name} has two cells of one subdir and accelerator",
                where="feedstock.lock.yaml",
                next_step="run `armtorch update` again",
            )
    return tuple(LineCells(name=name, cells=tuple(cells)) for name, cells in sorted(found.items()))


def wanted_pythons(feedstock: Feedstock, cell: Cell) -> tuple[PythonBuild, ...]:
    """Return the Pythons of a cell that the feedstock asks for and torch is served for."""
    own = next((line.pythons for line in feedstock.lines if line.name == cell.line), None)
    asked = own if own is not None else feedstock.pythons
    return tuple(python for python in cell.pythons() if python in asked)


def reference_wheel(cell: Cell, python: PythonBuild | None = None) -> Wheel | None:
    """Return the torch wheel that the shared packages of a Python are taken from (decision D2)."""
    group = cell.sharing if python is None else cell.group_of(python)
    if group is not None:
        return cell.wheel("torch", PythonBuild.parse(group.reference))
    return next(iter(_ordinary_first(cell.wheels_of("torch"))), None)


def _ordinary_first(wheels: Iterable[Wheel]) -> list[Wheel]:
    return sorted(
        (wheel for wheel in wheels if wheel.python is not None),
        key=lambda wheel: (
            (wheel.python.freethreading, wheel.python)
            if wheel.python
            else (True, PythonBuild(0, 0))
        ),
    )
