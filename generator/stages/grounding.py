"""What ``up`` builds from: the committed lock, and a lock of the run's own for what that lacks.

``up`` writes no file that is committed (decision D15): looking for newer releases is ``update``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from generator.building.provenance import lock_day
from generator.errors import ArmtorchError
from generator.feedstock import Feedstock, SubdirName
from generator.lock import write_lock
from generator.matrix import Selection, has_torch, newest_lines
from generator.model import Lock
from generator.project import Project
from generator.rendering import compare_tree, number_builds, render
from generator.stages.render import render_feedstock

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
        # a run that finds all in the lock does without what asks upstream
        from generator.stages.looking_up import looked_up  # noqa: PLC0415

        lock, findings = looked_up(project, lacking, wanted, torch, only)
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
