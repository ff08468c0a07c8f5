"""What became of a cell at an event, held against what upstream had for it then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from packaging.version import Version

from benchmarks.backtest_events import Event, Expected
from generator.model import Cell, Lock, PythonBuild
from tests.in_process import Ran

#: complete: all that upstream had for the newest torch; held: less, and the lock says what is held
#: back and why; wrong: a companion that upstream made for another torch; unsaid: less, and nothing
#: says so; refused: locked, and the build would refuse a wheel of it; unserved: no torch at all;
#: stopped: the command ended with an error and wrote nothing; crashed: with a traceback
Outcome = Literal[
    "complete", "held", "wrong", "unsaid", "refused", "unserved", "stopped", "crashed"
]
_COMPANIONS: Final = ("torchvision", "torchaudio")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One event for one cell."""

    event: str
    #: ``linux-aarch64/cpu``
    cell: str
    #: the newest torch that upstream had for the cell
    torch: str
    outcome: Outcome
    #: whether the cell has a torch that can be built
    libtorch: bool
    #: projects that upstream had nothing of for this torch then
    absent_upstream: tuple[str, ...] = ()
    #: Pythons of the newest torch that the cell has, and that upstream has
    pythons: tuple[int, int] = (0, 0)
    causes: tuple[str, ...] = ()
    #: what a person would have had to do
    by_hand: tuple[str, ...] = ()


def judge(
    event: Event,
    place: tuple[str, str],
    wanted: Expected,
    lock: Lock,
    ran: Ran,
    refused: Mapping[str, tuple[str, ...]],
) -> Verdict:
    """Say what became of a cell; ``refused`` has what its build would refuse, by cell."""
    subdir, accelerator = place
    cells = [
        cell
        for cell in lock.cells
        if cell.subdir == subdir and (str(cell.accelerator) == "cpu") == (accelerator == "cpu")
    ]
    newest = [cell for cell in cells if Version(cell.torch) == Version(wanted.torch)]
    held = tuple(_held(lock, cells))
    said = held or any(a.reason != "absent" for cell in newest for a in cell.absent)
    broken = tuple(text for cell in cells for text in refused.get(cell.name, ()))
    lacking = tuple(_lacking(newest[0], wanted)) if newest else ()
    wrong = tuple(_wrong(newest[0], wanted)) if newest else ()
    outcome: Outcome = "complete"
    causes: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    if ran.crash:
        outcome, causes = "crashed", (ran.crash,)
    elif ran.error is not None:
        outcome, causes, by_hand = "stopped", (ran.error.what,), (ran.error.next_step,)
    elif not cells:
        outcome = "held" if held else "unserved"
        causes = held or tuple(a.detail for a in lock.absent if a.subdir == subdir)
    elif wrong:
        outcome, causes = "wrong", wrong
    elif broken:
        outcome, causes = "refused", broken
    elif not newest or lacking:
        outcome = "held" if said else "unsaid"
        causes = held or lacking or (f"torch {wanted.torch} is not in the lock",)
    return Verdict(
        event=event.name,
        cell=f"{subdir}/{accelerator}",
        torch=wanted.torch,
        outcome=outcome,
        libtorch=bool(cells) and outcome not in {"stopped", "crashed"} and not _torch(broken),
        pythons=(len(newest[0].pythons()) if newest else 0, len(wanted.pythons["torch"])),
        absent_upstream=tuple(p for p in _COMPANIONS if not wanted.companions[p]),
        causes=causes,
        by_hand=by_hand,
    )


def _torch(broken: Iterable[str]) -> bool:
    return any(text.startswith("torch-") for text in broken)


def _held(lock: Lock, cells: Iterable[Cell]) -> Iterable[str]:
    """Yield what the lock says is held back."""
    for row in getattr(lock, "held", ()):
        yield str(row)
    for cell in cells:
        for row in getattr(cell, "held", ()):
            yield str(row)


def _lacking(cell: Cell, wanted: Expected) -> Iterable[str]:
    """Yield what upstream had and the cell has not."""
    for project, versions in wanted.companions.items():
        if versions and project not in cell.trio:
            said = [a.detail for a in cell.absent if a.package == project]
            yield f"{project} {versions[0]} is not in the cell: {'; '.join(said)}"
        elif versions and cell.trio[project] != versions[0]:  # type: ignore[index]
            yield f"{project} {cell.trio[project]} where {versions[0]} was there"  # type: ignore[index]
    for project, tags in wanted.pythons.items():
        if project == "torch" or project not in cell.trio:
            continue
        gone = [p for p in cell.pythons() if _for(tags, p) and cell.wheel(project, p) is None]
        if gone:
            said = [a.detail for a in cell.absent if a.python in set(map(str, gone))]
            yield f"{project} lacks {', '.join(map(str, gone))}: {'; '.join(dict.fromkeys(said))}"


def _for(tags: frozenset[str], python: PythonBuild) -> bool:
    return "py3" in tags or python.abi in tags


def _wrong(cell: Cell, wanted: Expected) -> Iterable[str]:
    """Yield companions that upstream made for another torch."""
    for project in _COMPANIONS:
        version = {str(k): v for k, v in cell.trio.items()}.get(project)
        if version is not None and version not in wanted.companions[project]:
            yield f"torch {cell.torch} with {project} {version}, which is for another torch"
