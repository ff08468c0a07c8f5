"""``update``: asks upstream and writes the next lock. Also says where a locked wheel is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from generator.building import fetch, fetch_unhashed
from generator.datafiles import subdirs
from generator.errors import AbsentError, ArmtorchError
from generator.feedstock import Feedstock
from generator.lock import LockDiff, diff_locks, write_lock
from generator.model import Lock, Wheel
from generator.rendering import number_builds
from generator.stages.judging import judges, proven
from generator.stages.project import Project
from generator.transport import HttpPolicy, open_session
from generator.upstream import (
    FactsCache,
    Index,
    Outcome,
    PipConfiguration,
    Traffic,
    Web,
    WheelReader,
    open_index,
    open_web,
    read_pip_configuration,
    update,
    with_old_days,
)


@dataclass(frozen=True, kw_only=True)
class UpdateResult:
    """The next lock, what changed, what went wrong and was survived, and what it cost."""

    lock: Lock
    diff: LockDiff
    findings: tuple[ArmtorchError, ...]
    traffic: Traffic
    #: whether the lock differs in what the difference does not name: where a wheel was seen
    renewed: bool


def update_lock(project: Project, *, dry_run: bool = False) -> UpdateResult:
    """Ask upstream and, unless ``dry_run``, write feedstock.lock.yaml where it changed.

    Raises:
        FeedstockError, LockError: the files cannot be used.
        IntegrityError: a released wheel has other bytes under its name; nothing is written.
        StorageError: the lock cannot be written.

    """
    feedstock, old = project.declared(), project.locked()
    outcome = look_up(project, feedstock, old)
    lock = outcome.lock
    if old.cells and not lock.cells and not lock.held:
        raise AbsentError(
            f"no index has any of the {len(old.cells)} cells of the lock any more",
            where=str(project.feedstock),
            next_step="check the index; to start anew on purpose, delete the lock",
        )
    lock = number_builds(feedstock, lock, old)
    if not dry_run and lock != old:
        write_lock(lock, project.lock)
    return UpdateResult(
        lock=lock,
        diff=diff_locks(old, lock),
        findings=outcome.findings,
        traffic=outcome.traffic,
        renewed=lock != old,
    )


def look_up(project: Project, asked: Feedstock, old: Lock) -> Outcome:
    """Ask upstream for what a declaration wants, feedstock.yaml or a part of it; write nothing.

    Raises:
        FeedstockError, IntegrityError: as ``upstream.update`` does.

    """
    feedstock = project.declared()
    today = dt.datetime.now(dt.UTC).date().isoformat()
    with _upstream(project, asked) as (web, indexes):
        reader = WheelReader(
            web=web,
            cache=FactsCache(project.cache / "facts"),
            policies=asked.policies,
            narrator=project.narrator,
        )
        outcome = update(
            asked,
            old,
            reader=reader,
            indexes=indexes,
            subdirs=subdirs(),
            narrator=project.narrator,
            obtain=partial(_obtain, project, web.policy),
            today=today,
            judges=judges(feedstock, reader),
        )
    lock = with_old_days(proven(feedstock, outcome.lock, old, today=today), old)
    return replace(outcome, lock=lock)


def _obtain(
    project: Project, policy: HttpPolicy, url: str, filename: str, size: int
) -> tuple[str, Path]:
    """Read a whole wheel whose index promises no sha256, to where ``build`` looks for it."""
    return fetch_unhashed(
        url,
        filename,
        size,
        root=project.wheelhouse,
        narrator=project.narrator,
        connect=partial(open_session, policy, files=True),
    )


def fetch_wheels(
    project: Project, feedstock: Feedstock, wheels: Sequence[Wheel], *, jobs: int
) -> None:
    """Bring wheels into the wheelhouse, over pip's proxy and certificates.

    Raises:
        AbsentError, UnreachableError, IntegrityError, StorageError: as ``building.fetch`` does.

    """
    policy = _policy(read_pip_configuration(project.environment))
    with wheel_locator(project, feedstock) as locate:
        fetch(
            wheels,
            locate=locate,
            root=project.wheelhouse,
            narrator=project.narrator,
            jobs=jobs,
            connect=partial(open_session, policy, files=True),
        )


@contextmanager
def wheel_locator(project: Project, feedstock: Feedstock) -> Iterator[Callable[[Wheel], str]]:
    """Give a function that says where a wheel is to be had now.

    The same wheel means the same sha256, or, where the index promises none, the same file name;
    its bytes are checked in any case.
    """
    with _upstream(project, feedstock) as (_, indexes):

        def locate(wheel: Wheel) -> str:
            index = indexes.get(wheel.index)
            if index is None:
                raise AbsentError(
                    f"feedstock.yaml declares no index called {wheel.index!r}",
                    where=wheel.filename,
                    next_step="declare it again, or run armtorch update",
                )
            for offer in index.offers(wheel.project):
                if offer.filename == wheel.filename and offer.sha256 in (None, wheel.sha256):
                    return offer.url
            raise AbsentError(
                f"the index no longer has it with sha256 {wheel.sha256}",
                where=wheel.filename,
                next_step=f"run armtorch update, or put the file into "
                f"{project.wheelhouse / wheel.sha256[:16]}",
            )

        yield locate


def _policy(pip: PipConfiguration) -> HttpPolicy:
    return HttpPolicy(ca_bundle=pip.cert, proxy=pip.proxy)


@contextmanager
def _upstream(project: Project, feedstock: Feedstock) -> Iterator[tuple[Web, Mapping[str, Index]]]:
    pip = read_pip_configuration(project.environment)
    with open_web(project.cache / "http", _policy(pip)) as web:
        yield (
            web,
            {
                name: open_index(name, source, web=web, pip=pip, base=project.root)
                for name, source in feedstock.indexes.items()
            },
        )
