"""Asks upstream for what ``up`` wants and the lock lacks, for a lock of the run's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from packaging.version import Version

from generator.errors import AbsentError, ArmtorchError, UnreachableError
from generator.feedstock import Feedstock, Line, SubdirName, SubdirWish, TrainPolicy
from generator.matrix import Selection, torch_specifier
from generator.model import Cell, Lock
from generator.model.cell import TrainName, of_train
from generator.project import Project
from generator.stages.update import look_up
from generator.upstream.silence import Silence


def looked_up(
    project: Project,
    lacking: list[tuple[SubdirName, str]],
    wanted: Selection,
    torch: str | None,
    only: Sequence[str],
) -> tuple[Lock, tuple[ArmtorchError, ...]]:
    """Return the lock with what upstream has of it; everything else stays as it is locked.

    Raises AbsentError, UnreachableError, MalformedError: upstream has none, or does not say.
    """
    feedstock, old = project.declared(), project.locked()
    names = ", ".join(" ".join(pair) for pair in lacking)
    release = f"torch {torch}" if torch else "torch"
    project.narrator.say(f"the lock has no {release} for {names}: asking upstream")
    # of the Pythons that are wanted, since not all that are served need share a libtorch
    pythons = wanted.pythons or feedstock.pythons
    asked = _narrowed(replace(feedstock, pythons=pythons), lacking, torch)
    outcome = look_up(project, asked, Lock(), only)
    new = tuple(_in_a_line_of_its_own(cell) for cell in outcome.lock.cells)
    if not new:
        if outcome.findings:
            raise outcome.findings[0]
        if any(row.reason == "unreachable" for row in outcome.lock.absent):
            raise _unanswered(outcome.silent, lacking)
        held = [row.detail for row in outcome.lock.held]
        why = iter(held + [row.detail for row in outcome.lock.absent])
        raise AbsentError(
            next(why, f"{release} is of no train that feedstock.yaml declares"),
            where=names,
            next_step="list the cells there are with armtorch matrix",
        )
    lock = replace(
        old,
        silent={**old.silent, **outcome.lock.silent},
        cells=(*old.cells, *new),
        metadata={**outcome.lock.metadata, **old.metadata},
    )
    return lock.in_order(), outcome.findings


def _unanswered(
    silent: Iterable[Silence], lacking: Sequence[tuple[SubdirName, str]]
) -> UnreachableError:
    """Say which indexes may have what nobody was heard to have, and how they failed."""
    able = [
        each
        for each in silent
        if any(each.claims.may_have(wish.removesuffix("*"), subdir) for subdir, wish in lacking)
    ]
    reasons = dict.fromkeys(each.error.what for each in able if each.error is not None)
    return UnreachableError(
        "; ".join(reasons) or "not every index that may have it was asked, and no other has it",
        where=", ".join(each.index for each in able)
        or ", ".join(f"{subdir} {wish}" for subdir, wish in lacking),
        next_step="armtorch indexes shows each of them; try again later, or check the network, the "
        "proxy and pip's index settings",
    )


def _narrowed(
    feedstock: Feedstock, pairs: Iterable[tuple[SubdirName, str]], torch: str | None
) -> Feedstock:
    """Return a declaration of nothing but the newest torch, or this one, for some cells."""
    subdirs: dict[SubdirName, tuple[str, ...]] = {}
    for subdir, accelerator in pairs:
        subdirs[subdir] = (*subdirs.get(subdir, ()), accelerator)
    if torch is None:
        trains: dict[TrainName, TrainPolicy] = {
            train: replace(policy, minors=0, releases=0)
            for train, policy in feedstock.trains.items()
            if train == "stable"
        }
        selections = {name: SubdirWish(accelerators=wishes) for name, wishes in subdirs.items()}
        return replace(feedstock, trains=trains, subdirs=selections, lines=())
    lines = [
        Line(
            name="asked",
            torch=torch_specifier(torch),
            train=train,
            subdirs=(name,),
            accelerators=wishes,
            pythons=feedstock.pythons,
        )
        for train in feedstock.trains
        if of_train(train, Version(torch))
        for name, wishes in subdirs.items()
    ]
    return replace(feedstock, subdirs={}, lines=tuple(lines))


def _in_a_line_of_its_own(cell: Cell) -> Cell:
    """Leave the recipes of the committed lines as they are, and so their packages."""
    return replace(cell, line=f"torch-{Version(cell.torch).public}")
