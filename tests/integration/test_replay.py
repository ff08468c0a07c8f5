"""build.yml and update.yml, command by command, on tiny wheels: what an hour of CI does.

Packages for macOS and Windows are installed from a small base and not run, so this needs no
emulator; tests/e2e/test_replay_real.py runs a real torch.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from generator.channel import LocalChannel
from generator.datafiles import subdirs
from generator.errors import SolveError
from generator.rendering import workflow_settings
from generator.testing import Machine, solve
from tests.counts import count, proving
from tests.forgeries import FORGERIES, stray
from tests.index_formats import PytorchSite
from tests.index_server import Failure, IndexServer
from tests.integration.small_release import (
    NEW,
    OLD,
    contents,
    copied,
    environment,
    every,
    published,
    put,
    wheels,
)
from tests.packages import Parts
from tests.replayed_actions import git
from tests.replaying import Replay
from tests.synthetic_wheels import corrupt

pytestmark = pytest.mark.integration

Noted = Callable[..., None]
SAMPLE = {"inputs.sample": True}


@pytest.fixture
def index(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[IndexServer]:
    with copied(tmp_path_factory, tmp_path) as server:
        yield server


@pytest.fixture
def running(index: IndexServer, tmp_path: Path) -> Replay:
    return Replay(tmp_path, environment(index))


def yaml_of(document: str) -> Any:
    return YAML(typ="safe", pure=True).load(document)


def text(replay: Replay) -> str:
    return (replay.folder / "pull-request.md").read_text()


def test_a_release_upstream_is_an_installable_package_after_one_run(
    running: Replay, index: IndexServer, noted: Noted
) -> None:
    before = running.update()
    assert before["look"].ok, before["look"].said
    assert list(before) == ["look"]
    put(index, *wheels(*NEW, "osx-arm64"))
    done = running.update()
    assert all(each.ok for each in done.values()), every(done)
    assert "osx-arm64/pytorch-2.11.0" in published(running, "pytorch")
    assert "osx-arm64/libtorch-2.11.0" in published(running, "libtorch")
    said = text(running)
    assert said.startswith("Release torch 2.11.0 for osx-arm64/cpu.")
    for part in ("### New", "`2.11/osx-arm64/cpu`", "torchvision 0.26.0", "### Superseded"):
        assert part in said, said
    log = git(running.origin, "log", "--format=%s", "main")
    assert log.startswith("Release torch 2.11.0 for osx-arm64/cpu")
    changelog = git(running.origin, "show", "main:CHANGELOG.md")
    assert changelog.count("\n## ") == 2
    assert changelog.index("torch 2.11.0") < changelog.index("torch 2.10.0")
    assert {run.split()[0] for run in running.ran} == {"armtorch", "python"}
    assert running.hub.events, "the workflow pushed and merged"
    assert running.started() == [], "what its token does starts nothing"
    noted("a release for the CPU", running, "Release torch 2.11.0 for osx-arm64/cpu.")


@pytest.mark.prove
def test_what_the_index_lost_stays_published_and_a_person_is_asked(
    running: Replay, index: IndexServer
) -> None:
    for path in index.folder.glob("*win_arm64.whl"):
        path.unlink()
    done = running.job("update", "release")
    assert done.ok, done.said
    # update.yml's merge job asks for "false"
    released = done.outputs["release"]
    assert (released["changed"], released["attention"]) == ("true", "true")
    said = text(running)
    assert "**A person should look at this first:**\n- `2.10/win-arm64/cpu: cell removed" in said
    assert "### Vanished" in said
    assert "win-arm64/pytorch-2.10.0" in published(running, "pytorch")


def test_a_stuck_release_is_tried_once_and_a_closed_one_stays_closed(
    running: Replay, index: IndexServer, noted: Noted
) -> None:
    """48 hours of one whose run was cancelled, waits for a person, or whose machines failed."""
    for path in index.folder.glob("*win_arm64.whl"):
        path.unlink()
    before = git(running.origin, "rev-parse", "main")
    running.hub.may_propose = False
    refused = running.update()
    assert {name: each.ok for name, each in refused.items()} == {"look": True, "release": False}
    assert "is not permitted to create" in refused["release"].said
    assert running.job("update", "look").given["changed"] == "false", "one message is enough"
    running.hub.may_propose, running.cancel_after = True, "release"
    tried = running.with_started(running.run("update", "workflow_dispatch"))
    assert list(tried) == ["look", "release"]
    (proposed,) = running.hub.pulls
    head = proposed["head"]["sha"]

    def wanted(hours: float, *, by: str = "schedule") -> bool:
        """Look so many hours after the last try began or ended."""
        told = datetime.now(UTC) - timedelta(hours=hours)
        running.hub.statuses[head][0]["created_at"] = told.isoformat()
        looked = running.job("update", "look", github__event_name=by)
        assert looked.ok, looked.said
        return looked.given["changed"] == "true"

    assert running.hub.statuses[head][0]["state"] == "pending"
    hours = range(1, 49, 48 // count("replayed_looks"))
    assert [hour for hour in hours if wanted(hour)] == [], "under way, or somebody ended it"
    for state in ("success", "error"):
        running.hub.statuses[head][0]["state"] = state
        assert not wanted(48), state
    assert running.hub.pulls == [proposed]
    assert git(running.origin, "rev-parse", "main") == before
    noted("a stuck release, 48 hours", running, "Not tried: it was tried (pending)")
    assert wanted(24 * workflow_settings().again_after_days)
    assert wanted(1, by="workflow_dispatch")
    running.hub.close()
    assert not wanted(1000)
    noted("and its pull request, closed", running, "was closed: it is not proposed again as it is")
    for path in index.folder.glob("torchvision-*macosx*.whl"):
        path.unlink()
    assert wanted(1), "it is made of something else"


def test_seventy_quiet_days_are_announced_before_the_schedules_end(
    running: Replay, noted: Noted
) -> None:
    told = {}
    looked = {"workflow_runs": [{"run_started_at": datetime.now(UTC).isoformat()}]}
    last = "/actions/workflows/update.yml/runs?status=success&per_page=1"
    running.hub.settings[last] = looked
    running.hub.now = datetime.now(UTC).isoformat()
    for day in (49, 51, 59, 70):
        running.hub.pushed = (datetime.now(UTC) - timedelta(days=day)).isoformat()
        if not running.hub.schedules_end:
            told[day] = running.job("nightly", "watch").ok
    assert told == {49: True, 51: False, 59: False}, "GitHub mails what is red"
    noted("70 quiet days", running, "GitHub ends the schedules 9 days from now")


def test_an_index_that_is_down_changes_nothing_and_is_reported(
    running: Replay, index: IndexServer
) -> None:
    index.behaviour.failures.extend([Failure(503)] * 200)
    before = git(running.origin, "rev-parse", "main")
    done = running.update()
    assert list(done) == ["look"]
    assert not done["look"].ok
    assert "exit code 11" in done["look"].said
    assert "503" in done["look"].said
    assert git(running.origin, "rev-parse", "main") == before


@pytest.mark.prove
def test_a_release_without_torchvision_is_built_and_the_text_says_what_lacks(
    running: Replay, index: IndexServer
) -> None:
    torch, _, audio = wheels(*NEW, "osx-arm64")
    put(index, torch, audio)
    done = running.job("update", "release")
    assert done.ok, done.said
    assert done.outputs["release"]["attention"] == "false"
    (row,) = [line for line in text(running).splitlines() if "`torchvision" in line]
    assert row.startswith("| `2.11/osx-arm64/cpu` | absence added |")
    running.merge()
    planned = running.job("build", "plan", **SAMPLE)
    assert planned.ok, planned.said
    names = [row["name"] for row in json.loads(planned.given["variants"])]
    assert "2.11-osx-arm64-cpu-sample" in names


def test_a_stable_wheel_with_other_bytes_is_refused_as_tampering(
    running: Replay, index: IndexServer
) -> None:
    (torch, *_) = wheels(*OLD, "osx-arm64")
    path = index.folder / torch.filename
    assert path.exists()
    put(index, replace(torch, members={**torch.members, "torch/more.py": b"1"}))
    before = git(running.origin, "rev-parse", "main")
    done = running.update()
    assert list(done) == ["look"]
    assert not done["look"].ok
    assert "exit code 13" in done["look"].said
    assert torch.filename in done["look"].said
    assert git(running.origin, "rev-parse", "main") == before


@pytest.mark.prove
def test_a_candidate_with_other_bytes_is_a_new_build_that_only_its_label_has(
    running: Replay, index: IndexServer
) -> None:
    site = PytorchSite(running.folder / "sites")
    index.sites.append(site)
    declared = yaml_of(git(running.origin, "show", "main:feedstock.yaml"))
    declared["indexes"]["test"] = {"kind": "pytorch", "url": f"{index.root}/whl/test/cpu"}
    declared["trains"]["rc"] = {"keep": ["newest"], "indexes": ["test"]}
    running.declare(json.dumps(declared))
    torch, *others = wheels(*NEW, "osx-arm64")
    for wheel in (torch, *others):
        wheel.write(site.folder / "whl/test/cpu")
    for number in (1, 2):
        if number == 2:  # upstream's next candidate has the same names
            again = replace(torch, members={**torch.members, "torch/more.py": b"1"})
            again.write(site.folder / "whl/test/cpu")
        done = running.job("update", "release")
        assert done.ok, done.said
        assert done.outputs["release"]["attention"] == "false"
        assert done.outputs["release"]["title"].startswith(
            f"Release torch 2.11.0 candidate {number}"
        )
        running.merge()
        jobs = running.build(train="rc")
        assert all(each.ok for each in jobs.values()), every(jobs)
    said = text(running)
    for part in (
        "### New candidates",
        "`candidate 1 of ",
        "`candidate 2 of ",
        "| `rc/pytorch` | 0 | 1 |",
    ):
        assert part in said, said
    assert "TAMPERING" not in said
    changelog = git(running.origin, "show", "main:CHANGELOG.md")
    assert "candidate changed: torch 2.11.0" in changelog
    assert published(running, "pytorch") == {"osx-arm64/pytorch-2.10.0", "win-arm64/pytorch-2.10.0"}
    candidates = LocalChannel(running.channel / "label/rc").records("osx-arm64")
    assert {r.build_number for r in candidates if r.name == "pytorch"} == {0, 1}
    assert len({r.sha256 for r in candidates if r.name == "pytorch"}) == 2
    mine, base = running.channel.as_uri(), declared["subdirs"]["osx-arm64"]["base"][0]
    machine = Machine.of(subdirs()["osx-arm64"], native=False)

    def picked(*specs: str, label: str = "") -> tuple[str, int]:
        labelled = [f"{mine}/label/{label}"] if label else []
        found = solve(list(specs), channels=[*labelled, mine, base], machine=machine)
        (record,) = [each for each in found if each.name.normalized == "pytorch"]
        return str(record.version), record.build_number

    assert picked("pytorch") == ("2.10.0", 0)
    assert picked("pytorch", label="rc") == ("2.11.0", 1)
    with pytest.raises(SolveError):
        picked("pytorch 2.11.*")


def test_what_was_not_published_is_built_and_published_at_night(
    running: Replay, index: IndexServer
) -> None:
    """As after a release that was merged and whose publishing was cut off."""
    running.secrets = {name: {f"{name}_KEY": "x"} for name in ("read", "publish", "retire")}
    assert list(running.nightly()) == ["watch", "missing", "retire"]
    assert running.saw == {"watch": set(), "missing": {"read_KEY"}, "retire": {"retire_KEY"}}
    assert running.started() == []
    whole = contents(running)
    for path in running.channel.glob("win-arm64/*.conda"):
        path.unlink()
    LocalChannel(running.channel).index()
    done = running.nightly()
    assert all(each.ok for each in done.values()), every(done)
    assert done["missing"].given == {"cells": "2.10/win-arm64/cpu"}
    assert {name for name, seen in running.saw.items() if seen} == {
        *("missing", "retire", "build / publish")
    }
    assert running.saw["build / publish"] == {"publish_KEY"}
    assert not any("osx" in name for name in done), "what is there is left alone"
    assert contents(running) == whole
    # a job that is run again has what it made, and its artifact is replaced
    again = running.again("build / 2.10-win-arm64-cpu-1")
    assert again.ok, again.said
    assert re.search(r"\sskipped$", again.said, re.MULTILINE), again.said
    # a test runs upstream's code: it could leave a package that is none of the lock's, or forge one
    given = running.folder / "artifacts/packages-2.10-win-arm64-cpu-1/win-arm64"
    torch, audio = next(given.glob("pytorch-2*")), next(given.glob("torchaudio-2*"))
    context = {"inputs.cells": "2.10/win-arm64/cpu"}
    shutil.copy(audio, given / "python-3.99.0-0.conda")
    refused = running.job("build", "publish", **context)
    assert "python-3.99.0-0.conda" in refused.said
    assert refused.said.endswith("exit code 16\n"), refused.said
    (given / "python-3.99.0-0.conda").unlink()
    shutil.copy(torch, running.folder / torch.name)
    shutil.copy(audio, torch)
    refused = running.job("build", "publish", **context)
    assert refused.said.endswith("exit code 16\n"), refused.said
    forged = Parts.read(running.folder / torch.name)
    code = next(path for path, held in sorted(forged.payload.items()) if isinstance(held, bytes))
    forged.payload[code] = b"import os"
    forged.write(given)
    refused = running.job("build", "publish", **context)
    assert refused.said.endswith("exit code 16\n"), refused.said
    assert contents(running) == whole


@pytest.mark.prove
def test_what_a_build_job_forged_is_neither_signed_nor_published_and_the_rest_is(
    running: Replay, index: IndexServer
) -> None:
    cell = "2.10/win-arm64/cpu"
    for path in running.channel.glob("win-arm64/*.conda"):
        path.unlink()
    LocalChannel(running.channel).index()
    assert all(each.ok for each in running.nightly().values())
    given, sound = running.folder / "artifacts", running.folder / "sound"
    for artifact in given.iterdir():
        shutil.copytree(artifact, sound, dirs_exist_ok=True)
    honest = {path.relative_to(sound).as_posix() for path in sound.rglob("*.conda")}
    for forge in FORGERIES[: count("forgeries")]:
        shutil.rmtree(given)
        shutil.copytree(sound, given / "packages-all")
        shutil.rmtree(running.channel)
        running.actions.signed.clear()
        bad = set(forge(given / "packages-all"))
        done = running.job("build", "publish", **{"inputs.cells": cell})
        # a sound package is put into its place, whatever folder of an artifact it lies in
        assert done.ok is (forge is stray), done.said
        # refuted, or of no recipe that the lock has
        ends = ("exit code 16\n", "exit code 18\n")
        assert done.said.endswith(ends) or forge is stray, done.said
        assert set(contents(running)) == honest - bad, forge
        assert running.actions.signed == {key.rpartition("/")[2] for key in honest - bad}, forge


@pytest.mark.prove
def test_a_metapackage_that_changes_is_published_and_nothing_else_is_made_again(
    running: Replay, noted: Noted
) -> None:
    before = contents(running)
    assert running.actions.caches.all, "the jobs of the first run kept what they made"
    running.change("templates/recipes/cpuonly.yaml.jinja", "Add it to a request", "Ask for it")
    done = running.build()
    assert all(each.ok for each in done.values()), every(done)
    new = set(contents(running)) - set(before)
    assert {Path(each).name.rsplit("-", 2)[0] for each in new} == {"cpuonly"}
    for name, each in done.items():
        if name.startswith("2.10"):
            assert not re.search(r"\sbuilt$", each.said, re.MULTILINE), each.said
    wheels = [path for path in running.folder.glob("caches/**/*") if path.suffix == ".whl"]
    assert wheels == []
    noted("a metapackage that changed", running, "1 to send")


@pytest.mark.prove
def test_a_job_that_failed_is_run_again_beside_others_in_a_repository_that_was_renamed(
    running: Replay, index: IndexServer, noted: Noted
) -> None:
    """A wheel that could not be had; the rest is made again, and is what is published already."""
    whole = contents(running)
    for path in running.channel.glob("win-arm64/*.conda"):
        path.unlink()
    LocalChannel(running.channel).index()
    shutil.rmtree(running.actions.caches.folder)
    running.hub.repository = "you/renamed"
    (wheel,) = index.folder.glob("torch-*win_arm64.whl")
    away = wheel.rename(running.folder / wheel.name)
    done = running.build()
    failed = {name for name, each in done.items() if not each.ok}
    assert failed == {"2.10-win-arm64-cpu-shared", "2.10-win-arm64-cpu-1"}, every(done)
    said = running.summary()
    assert "2.10/pytorch/win_arm64" in said
    assert "2.10/pytorch/osx_arm64" not in said
    assert published(running, "pytorch") == {"osx-arm64/pytorch-2.10.0"}
    away.rename(wheel)
    again = running.rerun_failed()
    assert all(each.ok for each in again.values()), every(again)
    # who needs a job needs all rows of its matrix, so what passed is done again, too
    needing = {"2.10-osx-arm64-cpu-1", "publish"}
    assert {name for name in again if again[name] is not done[name]} == {*failed, *needing}
    assert contents(running) == whole
    noted("a failed job, again, in a renamed repository", running, "Not there, see the jobs")


def test_the_first_push_of_a_fork_says_what_to_do_and_the_next_look_does_it(
    running: Replay, noted: Noted
) -> None:
    """Only feedstock.yaml is edited, as by somebody who has no armtorch at hand."""
    path = "feedstock.yaml"
    running.change(path, "maintainers: [someone]", "maintainers: [me]", render=False)
    running.change(path, "channel: synthetic", "channel: mine", render=False)
    running.change(path, "subdirs:", 'pythons: ["3.12"]\nsubdirs:', render=False)
    assert running.started() == [("build", "push")] * 3
    pushed = running.run("build", "push")
    assert list(pushed) == ["plan"]
    assert not pushed["plan"].ok
    assert "run `armtorch render --renumber`" in pushed["plan"].said
    # an edit that changes workflows is a person's to render
    running.change(path, "subdirs:", "armtorch: checkout\nsubdirs:", render=False)
    refused = running.job("update", "look")
    assert not refused.ok
    assert ".github/workflows/build.yml: stale" in refused.said
    running.change(path, "armtorch: checkout\n", "", render=False)
    assert running.job("update", "look").given == {"changed": "true"}
    released = running.job("update", "release")
    assert released.ok, released.said
    assert released.given["attention"] == "false"
    assert "### Build numbers" in text(running)
    running.merge()
    planned = running.job("build", "plan")
    assert planned.ok, planned.said
    recipe = git(running.origin, "show", "main:recipes/2.10/pytorch/recipe.yaml")
    assert yaml_of(recipe)["extra"]["recipe-maintainers"] == ["me"]
    if proving():
        running.variables["ARMTORCH_DESTINATION"] = str(running.folder / "mine")
        done = running.build()
        assert all(each.ok for each in done.values()), every(done)
    mine = len(list(running.folder.glob("mine/*/*.conda")))
    said = "run `armtorch render --renumber`"
    noted("the first push of a fork, and its release", running, said, published=mine)


def test_what_was_withdrawn_stays_so_when_an_older_run_publishes_again(running: Replay) -> None:
    before = git(running.origin, "rev-parse", "main")
    (package,) = running.channel.glob("osx-arm64/pytorch-2.10.0-*")
    with running._pushing("Withdraw a build") as clone:
        hotfix = clone / ".ci/hotfixes/yank.yaml"
        hotfix.parent.mkdir(parents=True)
        hotfix.write_text(f"reason: it is broken on M1\nyank: [osx-arm64/{package.name}]\n")
    for commit in (git(running.origin, "rev-parse", "main"), before):
        done = running.job("build", "publish", github__sha=commit)
        assert done.ok, done.said
        repodata = json.loads((package.parent / "repodata.json").read_text())
        assert "package_has_been_revoked" in repodata["packages.conda"][package.name]["depends"]


def test_a_cell_that_fails_stays_as_it_was_and_the_others_are_merged(
    running: Replay, index: IndexServer
) -> None:
    torch, *others = wheels(*NEW, "win-arm64")
    put(index, *wheels(*NEW, "osx-arm64"), corrupt(torch, "other-machine"), *others)
    done = running.update()
    failed = {name for name, each in done.items() if not each.ok}
    assert failed == {
        "try / 2.11-win-arm64-cpu-shared",
        "try / 2.11-win-arm64-cpu-sample",
    }, every(done)
    assert "osx-arm64/pytorch-2.11.0" in published(running, "pytorch")
    assert "win-arm64/pytorch-2.11.0" not in published(running, "pytorch")
    lock = yaml_of(git(running.origin, "show", "main:feedstock.lock.yaml"))
    assert {(c["subdir"], c["trio"]["torch"]) for c in lock["cells"]} == {
        ("osx-arm64", "2.11.0"),
        ("win-arm64", "2.10.0"),
    }
    (row,) = lock["held"]
    assert (row["project"], row["version"], row["instead"]) == ("torch", "2.11.0", "2.10.0")
    assert row["kind"] in {"build", "audit"}
    assert "### Held back" in text(running)
    assert "verdicts" not in git(running.origin, "ls-tree", "--name-only", "main")
    # and nobody tries the same again
    again = running.update()
    assert list(again) == ["look"]
