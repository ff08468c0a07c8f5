"""What ``up`` builds from: the committed lock, and a lock of the run's own for what that lacks.

``up`` writes no file that is committed (decision D15): looking for newer releases is ``update``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from packaging.version import Version

from generator.building.provenance import lock_day
from generator.errors import AbsentError, ArmtorchError, UnreachableError
from generator.feedstock import Feedstock, Line, SubdirName, SubdirWish, TrainPolicy
from generator.lock import write_lock
from generator.matrix import Selection, has_torch, newest_lines, torch_specifier
from generator.model import Cell, Lock
from generator.model.cell import TrainName, of_train
from generator.project import Project
from generator.rendering import compare_tree, number_builds, render
from generator.stages.render import render_feedstock
from generator.stages.update import look_up
from generator.upstream.silence import Silence

#: below the feedstock's folder, and not committed
_OWN: Final = ".armtorch/up"
_NEWER: Final = "newer releases: armtorch update and armtorch render; in a clone, make update"


def ground(
    project: Project,
    wanted: Selection,
    torch: str | None,
    *,
    offline: bool,
    only: Sequence[str] = (),
) -> tuple[Project, tuple[ArmtorchError, ...]]:
    """Return the project to build from, rendered, and what was survived on the way.

    It is the committed one as it stands, where the lock has what is wanted and everything is
    rendered from it; else it has its lock and recipes in a folder of the run's own.
    Raises SelectionError: the lock has no such cell, and ``offline``.
    FeedstockError, LockError, RenderError, StorageError: as any stage that reads and renders.
    AbsentError, UnreachableError, MalformedError: upstream has no such cell, or does not say.
    """
    feedstock, lock = project.declared(), project.locked()
    findings: tuple[ArmtorchError, ...] = ()
    lacking = [] if offline else _lacking(feedstock, lock, wanted, torch)
    if lacking:
        lock, findings = _looked_up(project, lacking, wanted, torch, only)
    else:
        project.narrator.say(f"lock: {_age(project)}; {_NEWER}")
    newest_lines(lock.cells, wanted, torch=torch)  # nothing is written for what nobody has
    lock = number_builds(feedstock, lock, project.locked())
    if project.locked() == lock and not compare_tree(project.made(render), project.tree):
        return project, findings
    key = hashlib.sha256(repr((wanted, torch)).encode()).hexdigest()[:12]
    own = replace(project, scratch=project.root / _OWN / key)
    own.tree.mkdir(parents=True, exist_ok=True)
    write_lock(lock, own.lock)
    render_feedstock(own)
    if not lacking:
        project.narrator.say("recipes/ are not what the lock gives; see armtorch render --check")
    project.narrator.say(f"rendered for this run into {own.tree}")
    return own, findings


def _age(project: Project) -> str:
    day = lock_day(project.lock)
    if day is None:
        return "the committed one"
    days = (dt.datetime.now(dt.UTC).date() - day).days
    return f"of {day}, {days} day{'' if days == 1 else 's'} old"


def _lacking(
    feedstock: Feedstock, lock: Lock, wanted: Selection, torch: str | None
) -> list[tuple[SubdirName, str]]:
    """Return the subdirs and accelerators that are asked for and that no cell of the lock is of."""
    found: list[tuple[SubdirName, str]] = []
    for subdir in wanted.subdirs or ("",):
        for accelerator in wanted.accelerators or ("",):
            asked = Selection(
                subdirs=(subdir,) if subdir else (),
                accelerators=(accelerator,) if accelerator else (),
            )
            if any(asked.admits(cell) and has_torch(cell, torch) for cell in lock.cells):
                continue
            found += [
                (name, each)
                for name, declared in feedstock.subdirs.items()
                if subdir in ("", name)
                for each in ((accelerator,) if accelerator else declared.accelerators)
            ]
    return list(dict.fromkeys(found))


def _looked_up(
    project: Project,
    lacking: list[tuple[SubdirName, str]],
    wanted: Selection,
    torch: str | None,
    only: Sequence[str],
) -> tuple[Lock, tuple[ArmtorchError, ...]]:
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
    silent: Iterable[Silence], lacking: Iterable[tuple[SubdirName, str]]
) -> UnreachableError:
    """Say which indexes may have what nobody was heard to have, and how they failed."""
    able = [
        each
        for each in silent
        if any(each.claims.may_have(wish.removesuffix("*"), subdir) for subdir, wish in lacking)
    ]
    reasons = dict.fromkeys(each.error.what for each in able if each.error is not None)
    return UnreachableError(
        "; ".join(reasons) or "they were not asked",
        where=", ".join(each.index for each in able),
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
