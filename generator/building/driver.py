"""Builds variants in parallel workers and hands each finished package to the channel at once."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, Final, TypeAlias, cast

from filelock import FileLock, Timeout

from generator.atomic import on_disk
from generator.building.judging import Audit
from generator.building.ordering import Order
from generator.building.planning import Destination, ToBuild
from generator.building.report import BuildReport, Row
from generator.building.wheelhouse import place_of
from generator.building.worker import Job, Outcome, run
from generator.console import Narrator
from generator.datafiles import laid_over
from generator.errors import AbsentError, ArmtorchError, BuildError, StorageError
from generator.model import Variant
from generator.model.provenance import Provenance

#: paths that a shell and PATH take for one name
_PLAIN_PATH: Final = re.compile(r"([A-Za-z]:)?[A-Za-z0-9_.,+@=~/\\-]*")

#: what a shell and recipes give a meaning between double quotes
_EXPANDED: Final = re.compile(r'["$`{}]')


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to build, the same for every variant."""

    #: the feedstock's folder, with recipes/ and .ci_support/; build folders go to its .armtorch/
    repo: Path
    wheelhouse: Path
    #: zstd level of the packages, 1 to 22
    level: int
    #: variants at once
    jobs: int
    audit: Audit | None = None
    #: what packages are to say of the recipe's repository, by variant id
    provenance: Mapping[str, Provenance] = field(default_factory=dict)


#: the end of a pipe that a worker's Outcome comes out of
Answer: TypeAlias = "Connection[Any, Any]"


@dataclass(frozen=True)
class _Running:
    plan: ToBuild
    process: BaseProcess
    folder: Path
    started: float


@dataclass(frozen=True)
class _Finished:
    done: _Running
    outcome: Outcome
    seconds: float


def build(
    planned: Sequence[ToBuild | Row],
    *,
    channel: Destination,
    settings: Settings,
    narrator: Narrator,
) -> BuildReport:
    """Build what ``channel`` lacks, and put each package there as soon as it is finished.

    A variant that fails does not stop the others; the report has its error. Building needs
    nothing from a channel, so the order is only about ending early: the large ones start first.
    Raises StorageError: the channel or the build folder cannot be written.
    """
    rows = {each.id: each for each in planned if isinstance(each, Row)}
    todo = [each for each in planned if isinstance(each, ToBuild)]
    order = Order(
        {each.variant.id for each in todo},
        failed={row.id for row in rows.values() if row.status == "failed"},
    )
    if todo:
        channel.prepare()
        settings = replace(settings, jobs=max(1, min(settings.jobs, len(todo))))
        with (
            _private_folder(settings.repo) as folder,
            narrator.task("building", total=len(todo)) as task,
            # closed at once by an error or Ctrl-C, which ends the workers
            closing(
                _run_all(sorted(todo, key=ToBuild.weight), order, folder, channel, settings)
            ) as done,
        ):
            for row in done:
                rows[row.id] = row
                task.advance(1)
                _tell(row, narrator)
    return BuildReport(tuple(rows[each.id] for each in planned))


def _run_all(
    todo: list[ToBuild], order: Order, folder: Path, channel: Destination, settings: Settings
) -> Generator[Row, None, None]:
    running: dict[Answer, _Running] = {}
    waiting = list(reversed(todo))
    finished: list[_Finished] = []
    try:
        while waiting or running:
            while waiting and len(running) < settings.jobs:
                job_plan = waiting.pop()
                try:
                    connection, started = _start(job_plan, folder, settings)
                except ArmtorchError as error:
                    order.settle(job_plan.variant, failed=True)
                    yield job_plan.row("failed", error=error)
                else:
                    running[connection] = started
            for connection in cast("list[Answer]", wait(list(running))):
                done = running[connection]
                outcome = _outcome(done, connection)
                finished.append(_Finished(done, outcome, time.monotonic() - done.started))
                del running[connection]
            yield from _settled(finished, order, channel)
        # what is left needs each other: it goes together
        order.coming.difference_update(each.done.plan.variant.id for each in finished)
        yield from _settled(finished, order, channel)
    finally:
        for left in running.values():
            _end(left.process)


def _settled(finished: list[_Finished], order: Order, channel: Destination) -> Iterator[Row]:
    """Put what may go onto the channel there, as long as that lets something else go."""
    again = True
    while again:
        again = False
        for each in tuple(finished):
            variant = each.done.plan.variant
            verdict = order.verdict(variant) if each.outcome.error is None else "refuse"
            if verdict == "wait":
                continue
            finished.remove(each)
            error = each.outcome.error
            if verdict == "refuse" and error is None:
                error = _needless(variant, order)
            outcome = replace(each.outcome, error=error)
            row = _finish(replace(each, outcome=outcome), channel)
            order.settle(variant, failed=row.status == "failed")
            again = True
            yield row


def _needless(variant: Variant, order: Order) -> BuildError:
    return BuildError(
        f"it was built, and what it needs was not: {', '.join(order.lacking(variant))}",
        where=variant.id,
        next_step="mend that first; nothing goes onto the channel that cannot be installed",
    )


def _start(job_plan: ToBuild, folder: Path, settings: Settings) -> tuple[Answer, _Running]:
    variant = job_plan.variant
    wheels = tuple(place_of(wheel, settings.wheelhouse) for wheel in variant.wheels)
    for path in wheels:
        if not path.is_file():
            raise AbsentError(
                "the wheelhouse does not have this wheel",
                where=str(path),
                next_step="run `armtorch build`, which fetches it",
            )
    log = settings.repo / ".armtorch" / "log" / f"{variant.id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    private = Path(mkdtemp(prefix="armtorch-", dir=folder))
    context = _context()
    receiver, sender = context.Pipe(duplex=False)
    job = Job(
        variant=variant,
        repo=settings.repo,
        folder=private,
        log=log,
        wheels=wheels,
        level=settings.level,
        audit=settings.audit,
        provenance=settings.provenance.get(variant.id),
        local_data=laid_over(),
        # two threads on one core cost a fifth more processor time than one
        cores=max(1, (os.cpu_count() or 1) // settings.jobs),
    )
    process = context.Process(target=run, args=(job, sender), daemon=False)
    process.start()
    sender.close()
    return receiver, _Running(job_plan, process, private, time.monotonic())


def _context() -> ForkServerContext | SpawnContext:
    """Return how workers start: fresh, and where the system can, from one that has its imports."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    # all that is imported here, the linkage check's modules among it
    context.set_forkserver_preload(sorted(n for n in sys.modules if n.startswith("generator.")))
    return context


def _finish(finished: _Finished, channel: Destination) -> Row:
    """Put the package that a worker left on the channel, and clear its folder."""
    done, outcome, seconds = finished.done, finished.outcome, finished.seconds
    sealed = outcome.sealed
    try:
        if outcome.error is not None or sealed is None:
            return done.plan.row(
                "failed", error=outcome.error, seconds=seconds, cpu_seconds=outcome.cpu_seconds
            )
        try:
            channel.place(sealed.path, done.plan.variant.subdir, replace=done.plan.replaces)
        except BuildError as error:  # another builder was there in the meantime
            return done.plan.row("failed", error=error, seconds=seconds)
        return done.plan.row(
            "built",
            size=sealed.size,
            sha256=sealed.sha256,
            seconds=seconds,
            cpu_seconds=outcome.cpu_seconds,
            warnings=sealed.judgement.notes,
            floor=sealed.judgement.floor,
        )
    finally:
        shutil.rmtree(done.folder, ignore_errors=True)


def _outcome(done: _Running, connection: Answer) -> Outcome:
    try:
        outcome = connection.recv()
    except EOFError:
        outcome = None
    done.process.join()
    if isinstance(outcome, Outcome):
        return outcome
    code = done.process.exitcode or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    return Outcome(
        error=BuildError(
            f"the worker {how} before it was done",
            where=done.plan.variant.id,
            next_step="look for a lack of memory, then run `armtorch build` again",
        )
    )


def _end(process: BaseProcess) -> None:
    """Kill a worker together with the build script it runs."""
    if process.pid is not None and hasattr(os, "killpg"):
        with suppress(ProcessLookupError):  # not yet, or no longer, the leader of its group
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


@contextmanager
def _private_folder(repo: Path) -> Iterator[Path]:
    """Make a folder for this run, and clear those of runs that were killed.

    Each run holds a lock in its folder for as long as it lives, whatever ends it. rattler-build
    writes the folder's path into shell scripts and PATH, so one with a name that a shell or PATH
    takes apart is not used: the system's temporary folder is, which is not cleared of killed runs.
    The recipe's own folder stands in those scripts, too, between double quotes.
    """
    if (bad := _EXPANDED.search(str(repo.resolve()))) is not None:
        raise StorageError(
            f"packages cannot be built in a folder with {bad[0]!r} in its path: rattler-build "
            "writes it into shell scripts",
            where=str(repo.resolve()),
            next_step="move the feedstock to a folder with another name",
        )
    if _PLAIN_PATH.fullmatch(str(repo.resolve())) is None:
        with TemporaryDirectory(prefix="armtorch-run-", ignore_cleanup_errors=True) as elsewhere:
            yield Path(elsewhere)
        return
    parent = repo / ".armtorch" / "build"
    with on_disk("packages cannot be built here", parent, "make the folder writable"):
        parent.mkdir(parents=True, exist_ok=True)
    with FileLock(parent / "lock"):  # no one clears a folder between its making and its locking
        _clear_abandoned(parent)
        folder = Path(mkdtemp(prefix="run-", dir=parent))
        alive = FileLock(folder / "alive")
        alive.acquire()
    try:
        yield folder
    finally:
        alive.release()
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder; a script that was killed may write into it until it is really dead."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def _clear_abandoned(parent: Path) -> None:
    for old in parent.glob("run-*"):
        with suppress(Timeout), FileLock(old / "alive", timeout=0):
            shutil.rmtree(old, ignore_errors=True)


def _tell(row: Row, narrator: Narrator) -> None:
    if row.status == "failed":
        narrator.warn(f"failed {row.id}: {row.error}")
        return
    notes = f", {len(row.warnings)} linkage notes (--json lists them)" if row.warnings else ""
    narrator.say(
        f"{row.status} {row.file_name} ({row.size / 1e6:.1f} MB, {row.seconds:.0f} s{notes})"
    )
    if row.floor is not None:
        narrator.warn(f"{row.id}: {row.floor}, the wheel's tag says less")
