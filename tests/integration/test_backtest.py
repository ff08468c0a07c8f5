"""The backtest: an index as it was on a day, rows left out, and what it says of a cell."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from benchmarks.backtest import write_results
from benchmarks.backtest_events import Event, Upload, events, expected, uploads
from benchmarks.backtest_judging import Outcome, Verdict, judge
from benchmarks.backtest_layout import refusals
from benchmarks.backtest_report import PAGE, RESULTS, page
from benchmarks.backtest_rows import without_rows_for
from benchmarks.past_index import PastIndex, RealIndex, moment
from generator.upstream import PipConfiguration
from tests.in_process import lock_of, project_at, run
from tests.index_server import Behaviour, IndexServer
from tests.synthetic_wheels import Release

pytestmark = pytest.mark.integration

MAY, JUNE = "2023-05-08T17:00:00Z", "2023-06-08T17:00:00.500000Z"
FEEDSTOCK = Path(__file__).parents[2] / "benchmarks" / "backtest_feedstock.yaml"
OLD = Release(subdir="linux-aarch64", torch="2.0.1", torchvision="0.15.2", torchaudio="2.0.2")
NEW = Release(subdir="linux-aarch64", torch="2.1.0", torchvision="0.16.0", torchaudio="2.1.0")


def test_the_committed_page_is_what_the_committed_results_give() -> None:
    content = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(content)
    assert {row["outcome"] for row in content["with_rows"]}.isdisjoint({"crashed", "stopped"})


def test_an_event_is_met_with_the_index_as_it_stood(tmp_path: Path) -> None:
    behaviour = Behaviour()
    for release, day in ((OLD, MAY), (NEW, JUNE)):
        for wheel in release.wheels(["cp311"]):
            wheel.write(tmp_path / "wheels")
            behaviour.uploaded[wheel.filename] = day
    (tmp_path / "feedstock").mkdir()
    (tmp_path / "feedstock" / "feedstock.yaml").write_bytes(FEEDSTOCK.read_bytes())
    with IndexServer(tmp_path / "wheels", behaviour) as server:
        real = RealIndex(tmp_path / "kept", PipConfiguration(indexes=(server.url,)))
        (tmp_path / "kept/pages").mkdir(parents=True)
        (tmp_path / "kept/pages/triton.json").write_text('{"files": []}')
        found = uploads(real)
        met = events(found)
        assert [(e.name, e.when) for e in met if e.project == "torch"] == [
            ("torch 2.0.1", moment(MAY)),
            ("torch 2.1.0", moment(JUNE)),
        ]
        with PastIndex(real) as index:
            index.now = moment(MAY)
            project = project_at(tmp_path / "feedstock", index.url, tmp_path / "facts")
            ran = run(project, "release", "--json")
    assert (ran.exit_code, ran.crash) == (0, "")
    (cell,) = lock_of(project).cells
    assert dict(cell.trio) == {"torch": "2.0.1", "torchvision": "0.15.2", "torchaudio": "2.0.2"}
    (event,) = (e for e in met if e.name == "torch 2.0.1")
    wanted = expected(found, "linux-aarch64", "cpu", event.when)
    assert wanted is not None
    place = ("linux-aarch64", "cpu")
    assert judge(event, place, wanted, lock_of(project), ran, {}).outcome == "complete"
    assert list(refusals(project, cell, {wheel.sha256 for wheel in cell.wheels}, index)) == []
    refused = {cell.name: ("torch-2.0.1: nothing matches",)}
    verdict = judge(event, place, wanted, lock_of(project), ran, refused)
    assert (verdict.outcome, verdict.libtorch) == ("refused", False)
    later = expected(found, "linux-aarch64", "cpu", moment(JUNE))
    assert later is not None
    assert judge(event, place, later, lock_of(project), ran, {}).outcome == "unsaid"


def event_of(project: str, version: str, day: int) -> Event:
    return Event(
        project=project,
        version=version,
        when=dt.datetime(2026, 1, day, tzinfo=dt.UTC),
        subdirs=("linux-aarch64",),
        wheels=1,
        addition=0,
    )


def upload_of(event: Event) -> Upload:
    from packaging.version import Version  # noqa: PLC0415

    return Upload(
        project=event.project,
        version=Version(event.version),
        filename=event.name,
        subdir="linux-aarch64",
        when=event.when,
        yanked=False,
    )


def test_rows_for_an_event_and_later_ones_are_left_out() -> None:
    first, second = event_of("torchaudio", "2.10.0", 1), event_of("torchaudio", "2.11.0", 2)
    found = [upload_of(first), upload_of(second)]
    row = {"project": "torchaudio", "versions": "==2.11.*"}
    older = {"project": "torchaudio", "versions": ">=2.10"}
    content = {"companions": [row, older]}
    without = without_rows_for(second, found)
    assert without("trio_policy.yaml", content) == {"companions": [older]}
    assert without.missed == ["torchaudio ==2.11.*"]
    before = without_rows_for(first, found)
    assert before("trio_policy.yaml", content) == {"companions": []}
    assert before.missed == ["torchaudio >=2.10"]


def test_a_patch_forgets_the_versions_that_an_event_brought() -> None:
    first, second = event_of("torchaudio", "2.10.0", 1), event_of("torchaudio", "2.11.0", 2)
    without = without_rows_for(second, [upload_of(first), upload_of(second)])
    rule = {"match": ["x"], "patch": {"read_for": ["2.10.0", "2.11.0"], "pattern": "y"}}
    only = {"match": ["x"], "patch": {"read_for": ["2.11.0"], "pattern": "y"}}
    content = {"projects": {"torchaudio": {"rules": [rule, only]}}}
    kept = without("layout.yaml", content)["projects"]["torchaudio"]["rules"]
    assert kept == [{"match": ["x"], "patch": {"read_for": ["2.10.0"], "pattern": "y"}}]


def verdict_of(event: Event, outcome: Outcome) -> Verdict:
    return Verdict(
        event=event.name,
        cell="linux-aarch64/cpu",
        torch="2.10.0",
        outcome=outcome,
        libtorch=True,
    )


def test_what_is_known_of_other_events_is_kept(tmp_path: Path) -> None:
    first, second = event_of("torch", "2.10.0", 1), event_of("torch", "2.11.0", 2)
    out, every = tmp_path / "backtest.json", (first, second)
    runs: list[tuple[Event, Outcome]] = [(second, "held"), (first, "complete")]
    for event, outcome in [*runs, (second, "complete")]:
        found = [verdict_of(event, outcome)]
        write_results(out, every, {event.name}, found, found)
    content = json.loads(out.read_text(encoding="utf-8"))
    assert [row["name"] for row in content["events"]] == ["torch 2.10.0", "torch 2.11.0"]
    for key in ("with_rows", "without_rows"):
        assert [row["outcome"] for row in content[key]] == ["complete", "complete"]
