"""Indexes that do not answer while others do: what is served, what is kept, what is said."""

from __future__ import annotations

import datetime as dt
import json
import re
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from generator.ci.releasing import release
from generator.commands import cli
from generator.errors import FeedstockError, SelectionError, UnreachableError
from generator.feedstock import read_feedstock
from generator.lock import lock_text, read_lock
from generator.matrix import Selection, matrix_view, variants
from generator.model import Cell, Lock
from generator.stages.up import _not_looked_at, plan
from generator.stages.update import survey_indexes, update_lock
from tests.index_server import Failure
from tests.integration.index_worlds import World, trio, world

pytestmark = pytest.mark.integration

ASKED = """\
indexes:
  pypi: {kind: pip}
  whl-cpu: {kind: pytorch, url: "{root}/whl/cpu"}
  whl-cu*: {kind: pytorch, url: "{root}/whl/cu*"}
  jetson: {kind: devpi, url: "{root}/jp6/cu126", accelerator: cuda126-tegra}
trains:
  stable: {keep: [newest], indexes: [pypi, whl-cpu, whl-cu*, jetson]}
subdirs:
  linux-aarch64: {accelerators: [cpu, "cuda*", cuda126-tegra]}
  osx-arm64: {accelerators: [cpu]}
"""
ALL = {
    "2.15/linux-aarch64/cpu": "2.15.0",
    "2.15/linux-aarch64/cuda126": "2.15.0",
    "2.15/linux-aarch64/cuda130": "2.15.0",
    "2.15/osx-arm64/cpu": "2.15.0",
    "2.8/linux-aarch64/cuda126-tegra": "2.8.0",
}


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        put_all(found)
        yield found


def put_all(upstream: World) -> None:
    """CPU ends at 2.10 on the first index and goes on at the second; macOS is at both."""
    upstream.put("pypi", *trio("2.10.0", "0.25.0", "2.10.0"))
    upstream.put("pypi", *trio("2.15.0", "0.29.2", "2.11.0", subdir="osx-arm64"))
    upstream.put("whl/cpu", *trio("2.15.0", "0.29.2", "2.11.0", label="cpu"))
    for label in ("cu126", "cu130"):
        wheels = trio("2.15.0", "0.29.2", "2.11.0", label=label, accelerator=f"cuda{label[2:]}")
        upstream.put(f"whl/{label}", *wheels)
    # dropped upstream: too old for the wildcard
    old = trio("2.11.0", "0.26.0", "2.11.0", label="cu128", accelerator="cuda128")
    upstream.put("whl/cu128", *old)
    for minor in (12, 13, 14):
        wheels = trio(f"2.{minor}.0", "0.29.2", "2.11.0", label="cu130", accelerator="cuda130")
        upstream.put("whl/cu130", *wheels)
    upstream.put("jp6/cu126", *trio("2.8.0", "0.23.0", "2.8.0", accelerator="cuda126",
                                    tag="linux_aarch64"))  # fmt: skip


def down(upstream: World, pattern: str) -> None:
    upstream.pages.behaviour.failures = deque([Failure(503)] * 999)
    upstream.pages.behaviour.failing = pattern


def up_again(upstream: World) -> None:
    upstream.pages.behaviour.failures.clear()


def torches(lock: Lock) -> dict[str, str]:
    return {cell.name: cell.torch for cell in lock.cells}


def named(lock: Lock) -> dict[str, Cell]:
    return {cell.name: cell for cell in lock.cells}


def test_cuda_lines_are_found_and_those_that_ended_are_not_begun(upstream: World) -> None:
    outcome = upstream.update(ASKED)
    assert (outcome.findings, outcome.silent) == ((), ())
    assert torches(outcome.lock) == ALL
    cell = named(outcome.lock)["2.15/linux-aarch64/cuda126"]
    assert {wheel.index for wheel in cell.wheels} == {"whl-cu126"}
    # a line that begins is there in the next run, unasked
    new = trio("2.15.0", "0.29.2", "2.11.0", label="cu134", accelerator="cuda134")
    upstream.put("whl/cu134", *new)
    assert torches(upstream.update(ASKED, outcome.lock).lock) == {
        **ALL,
        "2.15/linux-aarch64/cuda134": "2.15.0",
    }


@pytest.mark.parametrize(
    ("pattern", "names", "concerned"),
    [
        ("/whl/cpu/.*", ["whl-cpu"], {"2.15/linux-aarch64/cpu"}),
        ("/whl/cu130/.*", ["whl-cu130"], {"2.15/linux-aarch64/cuda130"}),
        ("/whl/torch/", ["whl-cu*"],
         {"2.15/linux-aarch64/cuda126", "2.15/linux-aarch64/cuda130"}),
        ("/jp6/.*", ["jetson"], {"2.8/linux-aarch64/cuda126-tegra"}),
        ("/simple/.*", ["pypi"], {"2.15/osx-arm64/cpu"}),
    ],
)  # fmt: skip
def test_each_index_down_in_turn_loses_nothing_and_harms_its_own_cells(
    upstream: World, pattern: str, names: list[str], concerned: set[str]
) -> None:
    old = upstream.update(ASKED).lock
    down(upstream, pattern)
    outcome = upstream.update(ASKED, old, today="2026-11-25")
    assert torches(outcome.lock) == torches(old)
    assert {c.name for c in outcome.lock.cells if c.unreachable_since} == concerned
    assert outcome.lock.silent == dict.fromkeys(names, "2026-11-25")
    assert [each.index for each in outcome.silent] == names
    assert outcome.findings == ()
    # its first day stays, and its answer ends it
    later = upstream.update(ASKED, outcome.lock, today="2026-11-26").lock
    assert later.silent == outcome.lock.silent
    up_again(upstream)
    assert lock_text(upstream.update(ASKED, later).lock) == lock_text(old)


def test_what_others_have_is_served_until_the_better_index_answers(upstream: World) -> None:
    down(upstream, "/(whl|jp6)/.*")
    outcome = upstream.update(ASKED)
    found = named(outcome.lock)
    assert torches(outcome.lock) == {
        "2.10/linux-aarch64/cpu": "2.10.0",
        "2.15/osx-arm64/cpu": "2.15.0",
    }
    assert found["2.10/linux-aarch64/cpu"].behind == ("whl-cpu",)
    assert found["2.10/linux-aarch64/cpu"].unreachable_since == ""
    assert outcome.lock.silent == dict.fromkeys(("jetson", "whl-cpu", "whl-cu*"), "2026-11-22")
    reasons = {(row.accelerator, row.reason) for row in outcome.lock.absent}
    assert reasons == {("cuda", "unreachable"), ("cuda126-tegra", "unreachable")}
    # whoever builds it or looks at it is told
    asked = read_feedstock(upstream.project(ASKED).feedstock)
    view = next(c for c in matrix_view(asked, outcome.lock).cells if c.subdir == "linux-aarch64")
    assert view.behind == {"whl-cpu": "2026-11-22"}
    chosen = [v for v in variants(asked, outcome.lock) if v.subdir == "linux-aarch64"]
    (said,) = _not_looked_at(outcome.lock, chosen)
    assert "whl-cpu has a newer torch than 2.10/linux-aarch64/cpu" in said
    up_again(upstream)
    after = upstream.update(ASKED, outcome.lock).lock
    assert torches(after) == ALL
    assert (after.silent, after.absent) == ({}, ())
    assert not any(cell.behind for cell in after.cells)


def test_a_newer_torch_of_an_answering_index_is_served_beside_what_is_kept(
    upstream: World,
) -> None:
    old = upstream.update(ASKED).lock
    down(upstream, "/whl/cpu/.*")
    upstream.put("pypi", *trio("2.10.1", "0.25.0", "2.10.0"))
    assert torches(upstream.update(ASKED, old).lock) == ALL, "it is older than what is kept"
    upstream.put("pypi", *trio("2.16.0", "0.31.0", "2.11.0"))
    lock = upstream.update(ASKED, old).lock
    assert torches(lock) == {**ALL, "2.16/linux-aarch64/cpu": "2.16.0"}
    assert named(lock)["2.16/linux-aarch64/cpu"].behind == ("whl-cpu",)


def test_three_minors_are_kept_over_all_indexes_whichever_answers(upstream: World) -> None:
    asked = ASKED.replace("[newest]", "[newest], minors: 3")
    for torch, vision, newer, newer_vision in (
        ("2.9.1", "0.24.1", "2.14.0", "0.29.1"),
        ("2.8.0", "0.23.0", "2.13.0", "0.28.0"),
        ("2.7.1", "0.22.1", "2.12.0", "0.27.1"),
    ):
        upstream.put("pypi", *trio(torch, vision, torch))
        upstream.put("whl/cpu", *trio(newer, newer_vision, "2.11.0", label="cpu"))

    def minors(lock: Lock) -> dict[str, tuple[str, ...]]:
        cells = {c.line: c for c in lock.cells if c.name.endswith("linux-aarch64/cpu")}
        return {line: cell.behind for line, cell in sorted(cells.items())}

    down(upstream, "/(whl|jp6)/.*")
    first = upstream.update(asked)
    assert minors(first.lock) == dict.fromkeys(("2.10", "2.8", "2.9"), ("whl-cpu",))
    up_again(upstream)
    whole = upstream.update(asked, first.lock).lock
    assert minors(whole) == dict.fromkeys(("2.13", "2.14", "2.15"), ())
    cuda = {c.line for c in whole.cells if str(c.accelerator) == "cuda130"}
    assert cuda == {"2.13", "2.14", "2.15"}
    # what was locked stays, and what is older is not taken beside it
    down(upstream, "/whl/cpu/.*")
    assert torches(upstream.update(asked, whole).lock) == torches(whole)


def test_the_files_host_that_is_down_is_its_index_that_is(upstream: World) -> None:
    upstream.files.stop()
    outcome = upstream.update(ASKED)
    assert torches(outcome.lock) == {
        "2.10/linux-aarch64/cpu": "2.10.0",
        "2.15/osx-arm64/cpu": "2.15.0",
        "2.8/linux-aarch64/cuda126-tegra": "2.8.0",
    }
    assert set(outcome.lock.silent) == {"whl-cpu", "whl-cu126", "whl-cu130"}


def test_a_profile_asks_its_indexes_and_leaves_the_rest_as_it_was(upstream: World) -> None:
    project = upstream.project(ASKED)
    update_lock(project)
    before = read_lock(project.lock)
    assert torches(before) == ALL
    upstream.put("whl/cpu", *trio("2.15.1", "0.29.2", "2.11.0", label="cpu"))
    upstream.pages.forget()
    result = update_lock(project, only=["pypi"])
    assert (result.findings, result.silent) == ((), ())
    assert lock_text(read_lock(project.lock)) == lock_text(before)
    assert {path.split("/")[1] for path in upstream.pages.requests} == {"simple", "files"}
    assert not any("whl" in path.split("/")[1] for path in upstream.pages.heads)
    with pytest.raises(SelectionError, match="perhaps jetson"):
        update_lock(project, only=["jetsn"])
    # nor does a profile say that what was silent answers
    down(upstream, "/(whl|jp6)/.*")
    update_lock(project)
    before = read_lock(project.lock)
    assert set(before.silent) == {"whl-cpu", "whl-cu*", "jetson"}
    update_lock(project, only=["pypi"])
    assert lock_text(read_lock(project.lock)) == lock_text(before)


def test_up_names_the_indexes_that_may_have_what_the_lock_lacks(upstream: World) -> None:
    project = upstream.project(ASKED)
    down(upstream, "/(whl|jp6)/.*")
    with pytest.raises(UnreachableError, match="HTTP 503") as caught:
        plan(project, Selection(accelerators=("cuda126-tegra",)))
    assert caught.value.where == "jetson"


def test_the_command_says_it_in_a_line_and_strict_makes_it_a_failure(upstream: World) -> None:
    project = upstream.project(ASKED)
    down(upstream, "/(whl|jp6)/.*")
    arguments = ["--feedstock", str(project.feedstock), "update"]
    environment = {**project.environment, "XDG_CACHE_HOME": str(upstream.folder / "c")}
    run = CliRunner(env=environment)
    done = run.invoke(cli, arguments)
    assert done.exit_code == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "no answer since" in line]
    assert all(name in line for name in ("whl-cpu", "whl-cu*", "jetson"))
    assert "HTTP 503" in line
    strict = run.invoke(cli, [*arguments, "--strict"])
    assert strict.exit_code == UnreachableError.exit_code


def test_a_poll_for_releases_says_it_and_goes_on(upstream: World) -> None:
    upstream.pages.behaviour.failures = deque([Failure(404)] * 999)
    upstream.pages.behaviour.failing = "/whl/torch/"
    project = upstream.project(ASKED)
    said = release(project, dry_run=True).announcement
    assert said.findings == ()
    assert [error.kind for error in said.silent] == ["unreachable"]
    assert "no page says which sub-indexes there are" in said.markdown()
    assert "torch 2.15.0" in said.title


def test_hosts_that_say_nothing_are_given_up_together(upstream: World) -> None:
    """Twelve servers that accept and say nothing cost the time of one."""
    with socket.create_server(("127.0.0.1", 0), backlog=99) as silent:
        port = silent.getsockname()[1]
        more = "".join(
            f'  mute-{n}: {{kind: simple, url: "http://127.0.0.{n + 1}:{port}/{n}"}}\n'
            for n in range(12)
        )
        text = ASKED.replace("trains:", f"{more}trains:").replace(
            ", jetson]", ", jetson, " + ", ".join(f"mute-{n}" for n in range(12)) + "]"
        )
        started = time.monotonic()
        outcome = upstream.update(text)
        took = time.monotonic() - started
    assert {c.name for c in outcome.lock.cells} == set(ALL)
    assert len(outcome.silent) == 12
    assert took < 10 + 5, "the update itself takes one of these"


@pytest.mark.parametrize(
    "row",
    [
        'whl-cu*: {kind: simple, url: "https://host/whl/cu*"}',
        'whl: {kind: pytorch, url: "https://host/whl/cu*"}',
        'whl-*: {kind: pytorch, url: "https://host/whl/*"}',
    ],
)
def test_a_star_stands_for_cuda_lines_of_upstreams_own_index_only(
    upstream: World, row: str
) -> None:
    text = re.sub(r"whl-cu\*: .*", row, ASKED).replace("whl-cu*]", "pypi]")
    project = upstream.project(text.replace(", whl-cu*, ", ", "))
    with pytest.raises(FeedstockError, match="star stands for"):
        read_feedstock(project.feedstock)


def test_stars_of_names_are_told_apart(upstream: World) -> None:
    lock = upstream.update(ASKED).lock
    marked = replace(lock, silent={"whl-cu*": "2026-11-01"})
    down(upstream, "/whl/torch/")
    assert upstream.update(ASKED, marked).lock.silent == {"whl-cu*": "2026-11-01"}


def test_the_survey_says_what_answers_and_what_it_would_add(upstream: World) -> None:
    project = upstream.project(ASKED)
    down(upstream, "/(whl/cpu|jp6)/.*")
    update_lock(project, only=["pypi", "whl-cpu", "jetson"])
    found = {each.name: each for each in survey_indexes(project)}
    assert sorted(found) == ["jetson", "pypi", "whl-cpu", "whl-cu126", "whl-cu128", "whl-cu130"]
    assert found["whl-cpu"].failed.startswith("unreachable")
    assert found["whl-cpu"].since == dt.datetime.now(dt.UTC).date().isoformat()
    assert (found["pypi"].wheels, found["pypi"].newest, found["pypi"].adds) == (6, "2.15.0", ())
    assert [str(each) for each in found["whl-cu126"].adds] == [
        "stable linux-aarch64 cuda126 2.15.0"
    ]
    up_again(upstream)
    again = {each.name: each for each in survey_indexes(project, ["whl-cpu"])}
    assert [str(each) for each in again["whl-cpu"].adds] == [
        "stable linux-aarch64 cpu 2.15.0 for 2.10.0"
    ]
    environment = {**project.environment, "XDG_CACHE_HOME": str(upstream.folder / "c")}
    arguments = ["--feedstock", str(project.feedstock), "indexes", "--json"]
    done = CliRunner(env=environment).invoke(cli, arguments)
    assert {row["name"]: row["newest"] for row in json.loads(done.stdout)}["jetson"] == "2.8.0"
    down(upstream, "/jp6/.*")
    lines = CliRunner(env=environment).invoke(cli, arguments[:-1]).stdout.splitlines()
    assert lines[0].split("  ")[0] == "index"
    assert "ARM wheels" in lines[0]
    (jetson,) = (line for line in lines if line.startswith("jetson "))
    assert f"no, since {dt.datetime.now(dt.UTC).date().isoformat()}" in jetson
    (cpu,) = (line for line in lines if line.startswith("whl-cpu "))
    assert cpu.endswith("stable linux-aarch64 cpu 2.15.0 for 2.10.0")
    assert lines[-1].startswith("jetson: unreachable: ")
    assert "HTTP 503" in lines[-1]
