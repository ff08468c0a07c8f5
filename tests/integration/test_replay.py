"""build.yml and update.yml, command by command, on tiny wheels: what an hour of CI does.

Packages for macOS and Windows are installed from a small base and not run, so this needs no
emulator; tests/e2e/test_replay_real.py runs a real torch.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from generator.channel import LocalChannel
from generator.ci.tried import look_for_news
from generator.console import Silent
from generator.datafiles import subdirs
from generator.errors import SolveError
from generator.model import PythonBuild
from generator.project import Project
from generator.provider.github import GitHub
from generator.rendering import workflow_settings
from generator.testing import Machine, solve
from tests.conda_files import write_conda
from tests.conftest import made_once
from tests.counts import count
from tests.forgeries import FORGERIES
from tests.index_formats import PytorchSite
from tests.index_server import Failure, IndexServer
from tests.integration.small_base import COMPILED, NOARCH
from tests.packages import Parts
from tests.replayed_actions import git
from tests.replayed_jobs import Done
from tests.replaying import Replay
from tests.synthetic_wheels import Release, TinyWheel, corrupt

pytestmark = pytest.mark.integration

FEEDSTOCK = """\
channel: synthetic
maintainers: [someone]
repository: https://github.com/me/armtorch
indexes:
  pypi: {{kind: pip}}
trains:
  stable: {{keep: [newest], indexes: [pypi]}}
subdirs:
  osx-arm64: {{accelerators: [cpu], base: ["{base}"]}}
  win-arm64: {{accelerators: [cpu], base: ["{base}"]}}
policies: {{compression_level: 1}}
"""
SAMPLE = {"inputs.sample": True}
OLD, NEW = ("2.10.0", "0.25.0", "2.10.0"), ("2.11.0", "0.26.0", "2.11.0")


def base(folder: Path) -> str:
    """Write a base channel whose packages can be installed, and return its address."""
    noarch = {**NOARCH, "pip": "25.3"}
    for name, version in noarch.items():
        write_conda(folder, name, version, "0", subdir="noarch", installable=True)
    python = PythonBuild.parse("3.12")
    write_conda(folder, "python_abi", "3.12", "8_cp312", subdir="noarch", installable=True)
    tail = python.build_string_glob.removeprefix("*_")
    for subdir in ("osx-arm64", "win-arm64"):
        for name, version in COMPILED[subdir].items():
            write_conda(folder, name, version, "0", subdir=subdir, installable=True)
        write_conda(folder, "python", "3.12.9", f"h1_0_{tail}", subdir=subdir, installable=True)
    LocalChannel(folder).index()
    return folder.as_uri()


def wheels(torch: str, vision: str, audio: str, subdir: str) -> list[TinyWheel]:
    release = Release(subdir=subdir, torch=torch, torchvision=vision, torchaudio=audio)
    return release.wheels(("cp312",))


def put(index: IndexServer, *found: TinyWheel) -> None:
    for wheel in found:
        wheel.write(index.folder)


def environment(index: IndexServer) -> dict[str, str]:
    return {"PIP_INDEX_URL": index.url, "PIP_CONFIG_FILE": "/dev/null"}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of a channel whose first release is merged and published."""

    def make(folder: Path) -> None:
        with IndexServer(folder / "index") as index:
            for subdir in ("osx-arm64", "win-arm64"):
                put(index, *wheels(*OLD, subdir))
            replay = Replay(folder, environment(index))
            replay.start(FEEDSTOCK.format(base=base(folder / "base")))
            released = replay.job("update", "release")
            assert released.ok, released.said
            replay.merge()
            done = replay.build()
        assert all(each.ok for each in done.values()), every(done)
        there = {"osx-arm64/pytorch-2.10.0", "win-arm64/pytorch-2.10.0"}
        assert published(replay, "pytorch") == there

    return made_once(tmp_path_factory, "first release", make)


@pytest.fixture
def index(first: Path, tmp_path: Path) -> Iterator[IndexServer]:
    for name in ("index", "caches", "origin.git", "published"):
        shutil.copytree(first / name, tmp_path / name)
    with IndexServer(tmp_path / "index") as server:
        yield server


@pytest.fixture
def running(index: IndexServer, tmp_path: Path) -> Replay:
    """A copy of it, with an index of its own."""
    return Replay(tmp_path, environment(index))


def contents(replay: Replay) -> dict[str, bytes]:
    return {
        path.relative_to(replay.channel).as_posix(): path.read_bytes()
        for path in replay.channel.rglob("*.conda")
    }


def published(replay: Replay, name: str) -> set[str]:
    return {
        f"{path.parent.name}/{path.name.rpartition('-')[0]}"
        for path in replay.channel.glob(f"*/{name}-[0-9]*.conda")
    }


def every(done: Mapping[str, Done]) -> str:
    return "\n".join(f"== {name}: {each.ok}\n{each.said}" for name, each in done.items())


def yaml_of(document: str) -> Any:
    return YAML(typ="safe", pure=True).load(document)


def text(replay: Replay) -> str:
    return (replay.folder / "pull-request.md").read_text()


def test_a_release_upstream_is_an_installable_package_after_one_run(
    running: Replay, index: IndexServer
) -> None:
    before = running.update()
    assert before["look"].ok, before["look"].said
    assert list(before) == ["look"]
    put(index, *wheels(*NEW, "osx-arm64"))
    started = time.monotonic()
    done = running.update()
    took = time.monotonic() - started
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
    print(f"\nfrom the index's change to an installable package: {took:.0f} s; {running.used()}")


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
    running: Replay, index: IndexServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """48 hours of one whose run was cancelled, waits for a person, or whose machines failed."""
    for path in index.folder.glob("*win_arm64.whl"):
        path.unlink()
    before = git(running.origin, "rev-parse", "main")
    running.cancel_after = "release"
    assert list(running.update()) == ["look", "release"]
    assert git(running.origin, "rev-parse", "main") == before
    (proposed,) = running.hub.pulls
    (told,) = running.hub.statuses[proposed["head"]["sha"]]
    assert told["state"] == "pending"
    started = datetime.fromisoformat(running.hub.now)
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(running.folder / "cache"))
    project = Project(feedstock=running.folder / "job-1/feedstock.yaml", narrator=Silent())

    running.hub.permissions = {"statuses": "write", "pull-requests": "read"}
    with running.hub.served() as url:
        hub = GitHub(url=url)

        def wanted(hours: int, *, again: bool = False) -> bool:
            now = started + timedelta(hours=hours)
            found = look_for_news(project, hub, "me/armtorch", again=again, now=now)
            assert found.announcement.changed
            return found.wanted

        assert not wanted(1), "it is under way, or somebody ended it"
        for state in ("success", "error"):
            hub.tell("me/armtorch", proposed["head"]["sha"], "armtorch", state, said="", run="")
            tried = [hour for hour in range(1, 49, 48 // count("replayed_looks")) if wanted(hour)]
            assert tried == [], state
        assert wanted(24 * workflow_settings().again_after_days)
        assert wanted(1, again=True)
        running.hub.close()
        assert not wanted(1000), "a person said no"
        assert [row["number"] for row in running.hub.pulls] == [proposed["number"]]
        for path in index.folder.glob("torchvision-*macosx*.whl"):
            path.unlink()
        assert wanted(1), "it is made of something else"


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
    whole = contents(running)
    for path in running.channel.glob("win-arm64/*.conda"):
        path.unlink()
    LocalChannel(running.channel).index()
    done = running.nightly()
    assert all(each.ok for each in done.values()), every(done)
    assert done["missing"].given == {"cells": "2.10/win-arm64/cpu"}
    assert running.saw["publish"] == {"publish_KEY"}
    assert not any(seen for name, seen in running.saw.items() if name.startswith("build / "))
    assert not any("osx" in name for name in done), "what is there is left alone"
    assert contents(running) == whole
    # a job that is run again has what it made, and its artifact is replaced
    again = running.again("build / 2.10-win-arm64-cpu-1")
    assert again.ok, again.said
    assert re.search(r"\sskipped$", again.said, re.MULTILINE), again.said
    # a test runs upstream's code: it could leave a package that is none of the lock's, or forge one
    given = running.folder / "artifacts/packages-2.10-win-arm64-cpu-1/win-arm64"
    torch, audio = next(given.glob("pytorch-2*")), next(given.glob("torchaudio-2*"))
    context = {"github.sha": "main", "needs.missing.outputs.cells": "2.10/win-arm64/cpu"}
    shutil.copy(audio, given / "python-3.99.0-0.conda")
    refused = running.job("nightly", "publish", **context)
    assert "python-3.99.0-0.conda" in refused.said
    assert refused.said.endswith("exit code 16\n"), refused.said
    (given / "python-3.99.0-0.conda").unlink()
    shutil.copy(torch, running.folder / torch.name)
    shutil.copy(audio, torch)
    refused = running.job("nightly", "publish", **context)
    assert refused.said.endswith("exit code 16\n"), refused.said
    forged = Parts.read(running.folder / torch.name)
    code = next(path for path, held in sorted(forged.payload.items()) if isinstance(held, bytes))
    forged.payload[code] = b"import os"
    forged.write(given)
    refused = running.job("nightly", "publish", **context)
    assert refused.said.endswith("exit code 16\n"), refused.said
    assert contents(running) == whole


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
        context = {"github.sha": "main", "needs.missing.outputs.cells": cell}
        done = running.job("nightly", "publish", **context)
        assert not done.ok
        # refuted, or of no recipe that the lock has
        assert done.said.endswith(("exit code 16\n", "exit code 18\n")), done.said
        assert set(contents(running)) == honest - bad, forge
        assert running.actions.signed == {key.rpartition("/")[2] for key in honest - bad}, forge


def test_a_metapackage_that_changes_is_published_and_nothing_else_is_made_again(
    running: Replay, index: IndexServer
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


def test_a_job_that_failed_is_run_again_beside_others_in_a_repository_that_was_renamed(
    running: Replay, index: IndexServer
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


def test_the_first_push_of_a_fork_says_what_to_do_and_the_next_look_does_it(
    running: Replay,
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
    # and nobody tries the same again
    again = running.update()
    assert list(again) == ["look"]
