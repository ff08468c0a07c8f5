"""Which variants a command works on: globs over ids, and filters that all have to hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from packaging.version import Version

from generator.errors import SelectionError
from generator.model import Cell, PythonBuild, Variant


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a person asked for; everything empty selects everything."""

    globs: tuple[str, ...] = ()
    subdirs: tuple[str, ...] = ()
    #: names of accelerators; ``cuda`` stands for every CUDA line
    accelerators: tuple[str, ...] = ()
    pythons: tuple[PythonBuild, ...] = ()
    packages: tuple[str, ...] = ()
    #: lines by name; empty for all
    lines: tuple[str, ...] = ()

    def __call__(self, variant: Variant) -> bool:
        """Whether ``variant`` is asked for.

        A variant without a Python, or without a platform, is part of every environment of its
        line, so the filters for those let it pass.
        """
        return (
            (not self.globs or any(fnmatchcase(variant.id, glob) for glob in self.globs))
            and (not self.subdirs or variant.subdir in {*self.subdirs, "noarch"})
            and (not self.accelerators or self._accelerates(variant))
            and (not self.pythons or variant.python is None or variant.python in self.pythons)
            and (not self.packages or variant.package in self.packages)
            and (not self.lines or variant.line in self.lines)
        )

    def _accelerates(self, variant: Variant) -> bool:
        name = str(variant.accelerator)
        return name in self.accelerators or ("cuda" in self.accelerators and name != "cpu")


def select(variants: Iterable[Variant], selection: Selection) -> tuple[Variant, ...]:
    """Return the variants that are asked for, in their order.

    Raises:
        SelectionError: nothing is selected; the message names what is near.

    """
    known = tuple(variants)
    chosen = tuple(variant for variant in known if selection(variant))
    if chosen:
        return chosen
    asked = " ".join(selection.globs) or "the options"
    near = get_close_matches(asked, [variant.id for variant in known], n=3, cutoff=0.4)
    hint = f"perhaps {' or '.join(near)}" if near else "list what there is with: armtorch matrix"
    raise SelectionError(f"no variant fits, of {len(known)}", where=asked, next_step=hint)


def newest_lines(
    cells: Iterable[Cell], selection: Selection, *, torch: str | None = None
) -> tuple[str, ...]:
    """Name the line of every wanted subdir and accelerator whose torch is the newest there is.

    Args:
        cells: the lock's cells.
        selection: only its subdirs and accelerators are looked at.
        torch: this torch version instead of the newest.

    Raises:
        SelectionError: no cell has that torch, or none is of that subdir and accelerator.

    """
    wanted = [
        cell
        for cell in cells
        if (not selection.subdirs or cell.subdir in selection.subdirs)
        and (
            not selection.accelerators
            or str(cell.accelerator) in selection.accelerators
            or ("cuda" in selection.accelerators and cell.accelerator.cuda is not None)
        )
    ]
    found = [cell for cell in wanted if torch in (None, cell.torch)]
    if not found:
        have = ", ".join(sorted({cell.torch for cell in wanted}, key=Version)) or "none"
        raise SelectionError(
            f"no cell with torch {torch or 'of any version'}",
            where=f"the lock has {have}",
            next_step="list the cells with armtorch matrix, or add a line for it to feedstock.yaml",
        )
    newest: dict[tuple[str, str], Cell] = {}
    for cell in sorted(found, key=lambda cell: Version(cell.torch)):
        newest[cell.subdir, str(cell.accelerator)] = cell
    return tuple(sorted({cell.line for cell in newest.values()}))
