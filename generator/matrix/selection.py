"""Which variants a command works on: globs over ids, and filters that all have to hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from generator.errors import SelectionError
from generator.model import Cell, Pythons, Variant
from generator.packages import choices

_MUTEX: Final = "pytorch-mutex"
#: torch's versions: 2.10.0; fewer name a minor
_RELEASE_PARTS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a person asked for; everything empty selects everything."""

    globs: tuple[str, ...] = ()
    subdirs: tuple[str, ...] = ()
    #: names of accelerators; ``cuda`` stands for every CUDA line
    accelerators: tuple[str, ...] = ()
    pythons: Pythons = field(default_factory=Pythons)
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
            and self._runs(variant)
            and (not self.packages or variant.package in self.packages)
            and (not self.lines or variant.line in self.lines)
        )

    def _runs(self, variant: Variant) -> bool:
        own = variant.python
        if own is None or (own in self.pythons.but and not variant.abi3):
            return own is None
        return not self.pythons.only or any(variant.serves(each) for each in self.pythons.only)

    def admits(self, cell: Cell) -> bool:
        """Whether a cell is of a wanted subdir and accelerator."""
        return (not self.subdirs or cell.subdir in self.subdirs) and (
            not self.accelerators
            or str(cell.accelerator) in self.accelerators
            or ("cuda" in self.accelerators and cell.accelerator.cuda is not None)
        )

    def _accelerates(self, variant: Variant) -> bool:
        if variant.package in choices():
            return True
        name = str(variant.accelerator)
        if name == "cpu" or name in self.accelerators:
            return name in self.accelerators
        # one build of the mutex stands for every CUDA line, whichever line it is listed under
        every = variant.package == _MUTEX and any(each != "cpu" for each in self.accelerators)
        return every or "cuda" in self.accelerators


def select(variants: Iterable[Variant], selection: Selection) -> tuple[Variant, ...]:
    """Return the variants that are asked for, in their order.

    Raises SelectionError: nothing is selected; the message names what is near.
    """
    known = tuple(variants)
    _refuse_unknown("subdir", selection.subdirs, {v.subdir for v in known})
    _refuse_unknown("package", selection.packages, {v.package for v in known})
    of_pythons = Selection(pythons=selection.pythons)
    needed = {each for v in known if v.python and of_pythons(v) for each in v.depends}
    chosen = tuple(
        variant
        for variant in known
        if selection(variant)
        # a libtorch of some Pythons only is for who asks for one of them
        and (variant.python or not variant.group or variant.id in needed)
    )
    if chosen:
        pythons = replace(selection, pythons=Pythons(), globs=())
        served = {str(v.python) for v in known if v.python is not None and pythons(v)}
        _refuse_unknown("Python", tuple(map(str, selection.pythons.only)), served)
        return chosen
    asked = " ".join(selection.globs) or "the options"
    near = get_close_matches(asked, [variant.id for variant in known], n=3, cutoff=0.4)
    hint = f"perhaps {' or '.join(near)}" if near else "list what there is with: armtorch matrix"
    raise SelectionError(f"no variant fits, of {len(known)}", where=asked, next_step=hint)


def _refuse_unknown(what: str, asked: Iterable[str], known: set[str]) -> None:
    """Raise SelectionError for the first of ``asked`` that no variant is of."""
    for one in asked:
        if one not in known:
            near = get_close_matches(one, known, n=1, cutoff=0.5)
            hint = f"perhaps {near[0]}; " if near else ""
            raise SelectionError(
                f"no variant is of {what} {one}",
                where=f"there are {', '.join(sorted(known - {'noarch'})) or 'none'}",
                next_step=f"{hint}list what there is with: armtorch matrix",
            )


def torch_specifier(torch: str) -> str:
    """Return the PEP 440 specifier of a torch that somebody names: 2.10 is any 2.10.

    Raises SelectionError: it is not a version.
    """
    try:
        version = Version(torch)
    except InvalidVersion as error:
        raise SelectionError(
            f"{torch!r} is not a version of torch",
            where="--torch",
            next_step="write it like 2.10.0, or 2.10 for the newest 2.10; without it: the newest",
        ) from error
    whole = len(version.release) >= _RELEASE_PARTS or version.is_prerelease
    return f"=={version.public}" if whole else f"=={version.public}.*"


def has_torch(cell: Cell, torch: str | None) -> bool:
    """Whether a cell is of this torch; None stands for any, and 2.10 for any 2.10.

    Raises SelectionError: it is not a version.
    """
    if torch is None:
        return True
    return SpecifierSet(torch_specifier(torch)).contains(cell.torch, prereleases=True)


def newest_lines(
    cells: Iterable[Cell], selection: Selection, *, torch: str | None = None
) -> tuple[str, ...]:
    """Name the lines whose torch is the newest for a wanted subdir, accelerator and Python.

    Of ``selection`` the subdirs, accelerators and Pythons are looked at; ``torch`` is a version
    instead of the newest.
    Raises SelectionError: no cell has that torch, or none is of that subdir and accelerator.
    """
    wanted = [cell for cell in cells if selection.admits(cell)]
    found = [cell for cell in wanted if has_torch(cell, torch)]
    # nobody gets a nightly or a candidate who did not name its version
    found = [cell for cell in found if cell.train == "stable"] or (found if torch else [])
    if not found:
        have = ", ".join(sorted({cell.torch for cell in wanted}, key=Version)) or "none"
        raise SelectionError(
            f"no cell with torch {torch or 'of any version'}",
            where=f"{' '.join((*selection.subdirs, *selection.accelerators))}: the lock has {have}",
            next_step="list the cells with armtorch matrix, or add a line for it to feedstock.yaml",
        )
    newest: dict[tuple[str, str, str], Cell] = {}
    for cell in sorted(found, key=lambda cell: Version(cell.torch)):
        # Python 3.9 is only served by an old line, which is then the newest for it
        for python in selection.pythons.only or ("",):
            if any(each in selection.pythons and python in {"", each} for each in cell.pythons()):
                newest[cell.subdir, str(cell.accelerator), str(python)] = cell
    if not newest:
        served = sorted({python for cell in found for python in cell.pythons()})
        raise SelectionError(
            f"no cell serves Python {selection.pythons}",
            where=f"there are {', '.join(map(str, served))}",
            next_step="list the cells with armtorch matrix",
        )
    return tuple(sorted({cell.line for cell in newest.values()}))
