"""``python -m benchmarks backtest``: every release since torch 2.0, as armtorch would have met it.

For each event the index stands as it stood then, and `armtorch release` runs with the lock of the
event before: once with today's data files, and once without the rows that were written for it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest import mock

import click
from platformdirs import user_cache_path

from benchmarks.backtest_events import CELLS, Event, Upload, events, expected, uploads
from benchmarks.backtest_judging import Verdict, judge
from benchmarks.backtest_layout import refusals
from benchmarks.backtest_rows import without_rows_for
from benchmarks.past_index import PastIndex, RealIndex
from generator.lock import storage
from generator.rendering import checking
from generator.upstream import read_pip_configuration
from tests.in_process import Ran, lock_of, project_at, run
from tests.other_data import copy_data, other_data

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "backtest.json"


@dataclass(frozen=True, kw_only=True)
class Past:
    """What a run of the backtest works with."""

    #: what was fetched, kept between runs
    cache: Path
    #: facts of wheels
    facts: Path

    def real(self) -> RealIndex:
        """The index that pip is configured to use."""
        return RealIndex(self.cache, read_pip_configuration(dict(os.environ)))


def replay(
    past: Past, index: PastIndex, found: tuple[Upload, ...], event: Event, folder: Path
) -> tuple[list[Verdict], Ran]:
    """Run `armtorch release` at an event in a folder that has the lock of the one before."""
    index.now = event.when
    project = project_at(folder, index.url, past.facts)
    before = lock_of(project)
    ran = run(project, "release", "--json")
    after = lock_of(project)
    known = {wheel.sha256 for cell in before.cells for wheel in cell.wheels}
    refused = {
        cell.name: tuple(refusals(project, cell, {w.sha256 for w in cell.wheels} - known, index))
        for cell in after.cells
        if not ran.crash
    }
    verdicts = [
        judge(event, cell, wanted, after, ran, refused)
        for cell in CELLS
        if cell[0] in event.subdirs and (wanted := expected(found, *cell, event.when)) is not None
    ]
    return verdicts, ran


def chain(
    past: Past, numbered: list[tuple[int, Event]], before: Event | None, locks: Path
) -> list[list[Verdict]]:
    """Replay events one after another; the lock before each stays in ``locks``.

    A part of the whole begins with the lock that a first release makes at the event before it.
    """
    found = uploads(real := past.real())
    done: list[list[Verdict]] = []
    with PastIndex(real) as index, tempfile.TemporaryDirectory() as name, read_once():
        folder = Path(name)
        shutil.copy(HERE / "backtest_feedstock.yaml", folder / "feedstock.yaml")
        if before is not None:
            replay(past, index, found, before, folder)
        for number, event in numbered:
            _keep(folder, locks / str(number))
            verdicts, ran = replay(past, index, found, event, folder)
            done.append(verdicts)
            click.echo(_line(event, verdicts, ran))
    return done


@contextlib.contextmanager
def read_once() -> Iterator[None]:
    """Spare what reads the same text again: three times a lock and every unchanged recipe."""
    parse, check = cache(storage.parse_lock), cache(checking._check_text)  # noqa: SLF001
    with (
        mock.patch.object(storage, "parse_lock", parse),
        mock.patch.object(checking, "_check_text", check),
    ):
        yield


def _keep(folder: Path, target: Path) -> None:
    """Keep feedstock and lock as they are before an event."""
    target.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("feedstock*.yaml"):
        shutil.copy(path, target)


def alone(past: Past, number: int, event: Event, locks: Path) -> list[Verdict] | None:
    """Replay one event from the lock that `chain` left, without the rows written for it.

    None where no row was: then it is what `chain` found.
    """
    real = past.real()
    found = uploads(real)
    with PastIndex(real) as index, tempfile.TemporaryDirectory() as name, read_once():
        folder = Path(name, "feedstock")
        shutil.copytree(locks / str(number), folder)
        without = without_rows_for(event, found)
        data = copy_data(Path(name, "data"), without)
        if not without.missed:
            return None
        with other_data(data):
            verdicts, ran = replay(past, index, found, event, folder)
    click.echo(f"without rows: {_line(event, verdicts, ran)}")
    return verdicts


def _parts(numbered: list[tuple[int, Event]], number: int) -> list[list[tuple[int, Event]]]:
    size = -(-len(numbered) // number)
    return [numbered[at : at + size] for at in range(0, len(numbered), size)]


def _line(event: Event, verdicts: list[Verdict], ran: Ran) -> str:
    cells = ", ".join(f"{v.cell} {v.outcome}" for v in verdicts)
    why = "; ".join(dict.fromkeys(cause for v in verdicts for cause in v.causes))
    return f"{event.when:%Y-%m-%d %H:%M} {event.name}: exit {ran.exit_code}; {cells}; {why}"[:600]


@click.command("backtest")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
@click.option(
    "--events",
    "chosen",
    type=(int, int),
    default=(0, sys.maxsize),
    help="Only those from one number on and before another; what --out has of the others is kept.",
)
@click.option(
    "--jobs", default=2, show_default=True, help="Processes: parts of the chain of events."
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=user_cache_path("armtorch") / "backtest",
    help="Where pages and parts of wheels are kept between runs.",
)
@click.option("--facts", type=click.Path(path_type=Path), help="Keep facts of wheels there, too.")
def backtest(
    *, out: Path, chosen: tuple[int, int], jobs: int, cache: Path, facts: Path | None
) -> None:
    """Run `armtorch release` for every release of the past, as the index stood then.

    Reads of each wheel what `update` reads; a first run fetches about a gigabyte, all of which is
    kept. The table in docs/backtest.md is written from the result by --out's reader,
    `python -m benchmarks backtest-table`.
    """
    with tempfile.TemporaryDirectory() as name:
        past = Past(cache=cache, facts=facts or Path(name, "facts"))
        real = past.real()
        found = uploads(real)
        every = events(found)
        numbered = list(enumerate(every))[slice(*chosen)]
        locks = Path(name, "locks")
        with ProcessPoolExecutor(jobs) as pool:
            parts = [
                pool.submit(chain, past, part, every[part[0][0] - 1] if part[0][0] else None, locks)
                for part in _parts(numbered, jobs)
            ]
            with_rows = [v for part in parts for verdicts in part.result() for v in verdicts]
            singles = [pool.submit(alone, past, number, event, locks) for number, event in numbered]
            without = [
                verdict
                for (_, event), single in zip(numbered, singles, strict=True)
                for verdict in single.result() or [v for v in with_rows if v.event == event.name]
            ]
    write_results(out, every, {event.name for _, event in numbered}, with_rows, without)


def write_results(
    out: Path,
    every: tuple[Event, ...],
    done: set[str],
    with_rows: list[Verdict],
    without: list[Verdict],
) -> None:
    """Put the verdicts about some events among those that are there already about others."""
    order = {event.name: number for number, event in enumerate(every)}
    before = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}

    def merged(key: str, found: list[Verdict]) -> list[dict[str, Any]]:
        kept = [row for row in before.get(key, []) if row["event"] in order.keys() - done]
        return sorted([*kept, *map(asdict, found)], key=lambda row: order[row["event"]])

    known = merged("with_rows", with_rows)
    there = {row["event"] for row in known}
    content = {
        "built": before.get("built", []),
        # what a person has to say of how these came to be; "" where all are of one run
        "code": before.get("code", "") if len(done) < len(every) else "",
        "day": dt.datetime.now(dt.UTC).date().isoformat(),
        "events": [
            {**asdict(e), "when": e.when.isoformat(), "name": e.name}
            for e in every
            if e.name in there
        ],
        "with_rows": known,
        "without_rows": merged("without_rows", without),
    }
    out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
