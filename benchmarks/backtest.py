"""``python -m benchmarks backtest``: every release since torch 2.0, as armtorch would have met it.

For each event the index stands as it stood then, and `armtorch release` runs with the lock of the
event before: once with today's data files, and once without the rows that were written for it.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
from platformdirs import user_cache_path

from benchmarks.backtest_events import CELLS, Event, Upload, events, expected, uploads
from benchmarks.backtest_judging import Verdict, judge
from benchmarks.backtest_layout import refusals
from benchmarks.backtest_rows import without_rows_for
from benchmarks.past_index import PastIndex, RealIndex
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
        import os  # noqa: PLC0415

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
    past: Past, found: tuple[Upload, ...], chosen: Iterable[Event], locks: Path,
    say: Callable[[str], None],
) -> list[Verdict]:  # fmt: skip
    """Replay events one after another; the lock before each stays in ``locks``."""
    verdicts: list[Verdict] = []
    with PastIndex(past.real()) as index, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(HERE / "backtest_feedstock.yaml", folder / "feedstock.yaml")
        for number, event in enumerate(chosen):
            _keep(folder, locks / str(number))
            new, ran = replay(past, index, found, event, folder)
            verdicts += new
            say(_line(event, new, ran))
    return verdicts


def _keep(folder: Path, target: Path) -> None:
    """Keep feedstock and lock as they are before an event."""
    target.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("feedstock*.yaml"):
        shutil.copy(path, target)


def alone(past: Past, number: int, event: Event, locks: Path) -> tuple[list[Verdict], str]:
    """Replay one event from the lock that `chain` left, without the rows written for it."""
    real = past.real()
    found = uploads(real)
    with PastIndex(real) as index, tempfile.TemporaryDirectory() as name:
        folder = Path(name, "feedstock")
        shutil.copytree(locks / str(number), folder)
        data = copy_data(Path(name, "data"), without_rows_for(event, found))
        with other_data(data):
            verdicts, ran = replay(past, index, found, event, folder)
    return verdicts, _line(event, verdicts, ran)


def _line(event: Event, verdicts: list[Verdict], ran: Ran) -> str:
    cells = ", ".join(f"{v.cell} {v.outcome}" for v in verdicts)
    why = "; ".join(dict.fromkeys(cause for v in verdicts for cause in v.causes))
    return f"{event.when:%Y-%m-%d %H:%M} {event.name}: exit {ran.exit_code}; {cells}; {why}"[:600]


@click.command("backtest")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
@click.option("--only", default="", help="Only events whose name has this in it.")
@click.option("--last", type=int, default=0, help="Only so many of the newest events.")
@click.option("--jobs", default=2, show_default=True, help="Processes for the runs without rows.")
@click.option("--rows/--no-rows", default=True, help="Also without the rows written for an event.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=user_cache_path("armtorch") / "backtest",
    help="Where pages and parts of wheels are kept between runs.",
)
@click.option("--facts", type=click.Path(path_type=Path), help="Keep facts of wheels there, too.")
def backtest(
    *, out: Path, only: str, last: int, jobs: int, rows: bool, cache: Path, facts: Path | None
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
        chosen = [e for e in events(found) if only in e.name][-last:]
        locks = Path(name, "locks")
        with_rows = chain(past, found, chosen, locks, click.echo)
        without: list[Verdict] = []
        if rows:
            with ProcessPoolExecutor(jobs) as pool:
                futures = [
                    pool.submit(alone, past, number, event, locks)
                    for number, event in enumerate(chosen)
                ]
                for future in futures:
                    verdicts, line = future.result()
                    without += verdicts
                    click.echo(f"without rows: {line}")
    content = {
        "day": dt.datetime.now(dt.UTC).date().isoformat(),
        "events": [{**asdict(e), "when": e.when.isoformat(), "name": e.name} for e in chosen],
        "with_rows": [asdict(v) for v in with_rows],
        "without_rows": [asdict(v) for v in without],
    }
    out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
