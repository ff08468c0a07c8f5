"""``update``: asks upstream and writes the next lock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from generator.channel.taken_numbers import taken_numbers
from generator.datafiles import subdirs
from generator.errors import AbsentError, ArmtorchError, HeldError
from generator.feedstock import Feedstock, refuse_unknown_indexes
from generator.lock import LockDiff, diff_locks, write_lock
from generator.model import Lock
from generator.project import Project
from generator.rendering import number_builds, own_package, with_own_row
from generator.stages.base import pinned
from generator.updating import IndexView, Outcome, survey, update, with_old_days
from generator.updating.recipe_judge import judges, proven
from generator.upstream import (
    Index,
    Silence,
    Traffic,
    Unasked,
)
from generator.upstream.reaching import obtain, reached, wheel_reader


@dataclass(frozen=True, kw_only=True)
class UpdateResult:
    """The next lock, what changed, what went wrong and was survived, and what it cost."""

    lock: Lock
    diff: LockDiff
    findings: tuple[ArmtorchError, ...]
    #: indexes that did not answer while others did
    silent: tuple[Silence, ...]
    traffic: Traffic
    #: whether the lock differs in what the difference does not name: where a wheel was seen
    renewed: bool


def update_lock(
    project: Project, *, dry_run: bool = False, only: Sequence[str] = ()
) -> UpdateResult:
    """Ask upstream and, unless ``dry_run``, write feedstock.lock.yaml where it changed.

    ``only`` are names of the indexes to ask, empty for all; what others had stays as it is.
    Raises FeedstockError, LockError: the files cannot be used.
    IntegrityError: a released wheel has other bytes under its name; nothing is written.
    HeldError: nothing that the lock had can be served any more; nothing is written.
    StorageError: the lock cannot be written.
    UnreachableError, DeclinedError: there was no lock, and a channel that may have build numbers
        does not say so.
    """
    feedstock, old = project.declared(), project.locked()
    outcome = look_up(project, feedstock, old, only)
    base = old.base if only else pinned(project, feedstock, old)
    lock = replace(outcome.lock, base=base)
    if old.cells and not lock.cells and not lock.held:
        raise AbsentError(
            f"no index has any of the {len(old.cells)} cells of the lock any more",
            where=str(project.feedstock),
            next_step="check the index; to start anew on purpose, delete the lock",
        )
    own = own_package(feedstock, old)
    beside = () if own is None else (own.variant,)
    taken = {} if old.builds else taken_numbers(project, feedstock, lock, beside)
    lock = number_builds(feedstock, lock, old, taken=taken)
    lock = with_own_row(feedstock, lock, old, own, taken)
    if not dry_run and lock != old:
        write_lock(lock, project.lock)
    return UpdateResult(
        lock=lock,
        diff=diff_locks(old, lock),
        findings=outcome.findings,
        silent=outcome.silent,
        traffic=outcome.traffic,
        renewed=lock != old,
    )


def look_up(project: Project, asked: Feedstock, old: Lock, only: Sequence[str] = ()) -> Outcome:
    """Ask upstream for what a declaration wants, feedstock.yaml or a part of it; write nothing.

    Raises FeedstockError, IntegrityError: as ``upstream.update`` does. HeldError: there were cells,
    and none of them can be served any more.
    """
    feedstock = project.declared()
    today = dt.datetime.now(dt.UTC).date().isoformat()
    with reached(project, asked.indexes) as (web, indexes):
        reader = wheel_reader(project, web, asked.policies)
        outcome = update(
            asked,
            old,
            reader=reader,
            indexes=_only(indexes, only),
            subdirs=subdirs(),
            narrator=project.narrator,
            obtain=partial(obtain, project, web.policy),
            today=today,
            judges=judges(feedstock, reader, old),
        )
    lock = with_old_days(proven(feedstock, outcome.lock, old, today=today), old)
    if old.cells and outcome.lock.cells and not lock.cells:
        _, row = lock.all_held()[0]
        raise HeldError(
            f"nothing is left to serve, and {len(old.cells)} cells were: {row}",
            where=str(project.feedstock),
            next_step=row.next_step,
        )
    return replace(outcome, lock=lock)


def survey_indexes(project: Project, only: Sequence[str] = ()) -> tuple[IndexView, ...]:
    """Ask every declared index, or those named, what it has, and hold that against the lock.

    Raises FeedstockError, LockError: the files cannot be used. SelectionError: no index is called
    so.
    """
    feedstock, lock = project.declared(), project.locked()
    with reached(project, feedstock.indexes) as (_, indexes):
        refuse_unknown_indexes(only, indexes)
        asked = {name: each for name, each in indexes.items() if not only or name in only}
        return survey(feedstock, lock, asked, subdirs())


def _only(indexes: Mapping[str, Index], names: Sequence[str]) -> dict[str, Index]:
    """Leave alone the indexes that are not named; raises SelectionError for a name of none."""
    refuse_unknown_indexes(names, indexes)
    return {
        name: index if not names or name in names else Unasked(name, index.claims)
        for name, index in indexes.items()
    }
