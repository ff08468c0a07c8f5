"""What a new cell is called: its line, and which of a version's candidates it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from packaging.version import Version

from generator.errors import FeedstockError
from generator.model.cell import Candidate, Cell, Lock, TrainName
from generator.updating.drafts import Draft


def name_lines(drafts: Iterable[Draft]) -> list[str]:
    """Name the drafts' lines: by torch minor, and in full where a minor has several releases.

    Other trains than stable are one line each, of their name; older releases that are kept have
    their version behind it. What is newest is looked at per subdir and accelerator there, since a
    nightly that fails for one of them is nothing special.
    """
    drafts = list(drafts)
    newest: dict[tuple[str, ...], Version] = {}
    for draft in drafts:
        if not draft.wish.line:
            key = _series(draft)
            newest[key] = max(draft.torch, newest.get(key, draft.torch))
    return [draft.wish.line or _line_name(draft, newest[_series(draft)]) for draft in drafts]


def _line_name(draft: Draft, newest: Version) -> str:
    name = _series(draft)[0]
    if draft.torch == newest:
        return name
    return str(draft.torch) if draft.wish.train == "stable" else f"{name}-{draft.torch}"


def _series(draft: Draft) -> tuple[str, ...]:
    """Return what draft's line is the newest of: name first, and what tells it from others."""
    if draft.wish.train != "stable":
        return draft.wish.train, draft.wish.subdir.name, str(draft.accelerator)
    return (f"{draft.torch.major}.{draft.torch.minor}",)


def told_once(
    cells: Iterable[Cell], old: Lock, named: frozenset[str], label: Callable[[TrainName], str]
) -> dict[str, Cell]:
    """Name the cells that are left out, each with the one of another line that serves it, too.

    Two lines may come to have one torch: a train moves to where a line of its own stands. Their
    packages would have the same names, so the one with more Pythons serves both; of equal ones,
    the one that there was before, else the line of its own, which is there to stay.
    Raises FeedstockError: each has a Python that the other has not.
    """
    had = {cell.name for cell in old.cells}
    kept: dict[tuple[str, str, str, str], Cell] = {}
    found: dict[str, Cell] = {}
    order = {c.name: (-len(c.pythons()), c.name not in had, c.line not in named) for c in cells}
    for cell in sorted(cells, key=lambda each: order[each.name]):
        key = label(cell.train), cell.subdir, str(cell.accelerator), cell.torch
        first = kept.setdefault(key, cell)
        if first is cell:
            continue
        if lacking := [str(each) for each in cell.pythons() if each not in first.pythons()]:
            raise FeedstockError(
                f"the lines {first.line} and {cell.line} both have torch {cell.torch} for "
                f"{cell.subdir}/{cell.accelerator}, and their packages would have the same names; "
                f"{first.line} lacks Python {', '.join(lacking)}, so it cannot serve both",
                where="feedstock.yaml: lines",
                next_step="give one of them the `pythons` of both, or another `torch`",
            )
        found[cell.name] = first
    return found


def as_candidate(cell: Cell, old: Iterable[Cell], today: str) -> Cell:
    """Number a cell of rc or nightly: upstream gives one name to one candidate after the other.

    ``today`` is the day (UTC), for indexes that say no upload time.
    """
    if cell.train == "stable":
        return cell
    before = next(
        (
            each
            for each in old
            if (each.train, each.torch, each.subdir, each.accelerator)
            == (cell.train, cell.torch, cell.subdir, cell.accelerator)
        ),
        None,
    )
    known = before.candidate if before is not None else None
    changed = before is not None and _changed(before, cell)
    if known is not None and not changed:
        return replace(cell, candidate=known)
    days = [wheel.uploaded[:10] for wheel in cell.wheels_of("torch") if wheel.uploaded]
    number = known.number + 1 if known is not None else 1
    return replace(cell, candidate=Candidate(number=number, date=max(days, default=today)))


def _changed(before: Cell, now: Cell) -> bool:
    known = {(w.index, w.filename): w.sha256 for w in before.wheels}
    return any(known.get((w.index, w.filename), w.sha256) != w.sha256 for w in now.wheels)
