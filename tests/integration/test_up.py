"""`armtorch up` builds the committed lock, looks up what that lacks, and commits nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from generator.channel import LocalChannel
from generator.errors import AbsentError, SelectionError, UnreachableError
from generator.matrix import Selection
from generator.project import Project
from generator.stages.build import BuildOptions
from generator.stages.render import render_feedstock
from generator.stages.test import RunOptions
from generator.stages.up import UpResult, plan, up
from generator.stages.update import update_lock
from tests.command_line import armtorch
from tests.integration.index_worlds import World, trio, world
from tests.integration.test_recipe_builds import Built
from tests.integration.updating import Heard
from tests.own_feedstock import DECLARED
from tests.replayed_actions import git

pytestmark = pytest.mark.integration

FEEDSTOCK = """\
indexes:
  here: {kind: simple, url: "{root}/pypi"}
trains:
  stable: {keep: [newest], indexes: [here]}
subdirs:
  linux-aarch64: {accelerators: [cpu]}
  osx-arm64: {accelerators: [cpu]}
policies: {compression_level: 1}
"""
LINUX, MAC = Selection(subdirs=("linux-aarch64",)), Selection(subdirs=("osx-arm64",))


@dataclass
class Clone:
    """A feedstock with a committed lock, whose index has moved on since."""

    upstream: World
    project: Project

    def up(
        self, wanted: Selection = LINUX, torch: str | None = None, offline: bool = False
    ) -> UpResult:
        channel = LocalChannel(self.upstream.folder / "channel")
        return up(
            plan(self.project, wanted, torch, offline=offline),
            build=BuildOptions(channel=channel, jobs=1),
            run=RunOptions(channel=channel, base=(channel.url,), must_run=False),
        )

    def changed(self) -> str:
        return git(self.project.root, "status", "--porcelain")

    def said(self) -> str:
        assert isinstance(self.project.narrator, Heard)
        return "\n".join(self.project.narrator.said)

    def built(self) -> set[str]:
        folder = self.upstream.folder / "channel"
        return {path.name for path in folder.glob("*/*.conda")}


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    with world(tmp_path) as upstream:
        upstream.put("pypi", *trio("2.10.0", "0.25.0", "2.10.0"))
        project = upstream.project(FEEDSTOCK.replace("{root}/pypi", "{root}/simple"))
        update_lock(project)
        render_feedstock(project)
        (project.root / ".gitignore").write_text("/.armtorch/\n/wheelhouse\n")
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Start"]):
            git(project.root, *words)
        upstream.put("pypi", *trio("2.11.0", "0.26.0", "2.11.0"))
        upstream.put("pypi", *trio("2.11.0", "0.26.0", "2.11.0", subdir="osx-arm64"))
        upstream.pages.forget()
        yield Clone(upstream, project)


def test_the_committed_lock_is_built_whatever_upstream_has_since(clone: Clone) -> None:
    result = clone.up()
    assert {v.wheels[0].version for v in result.chosen if v.package == "pytorch"} == {"2.10.0"}
    assert any(name.startswith("pytorch-2.10.0-") for name in clone.built())
    assert clone.changed() == ""
    assert "0 days old; newer releases: armtorch update" in clone.said()


def test_no_index_is_read_where_the_wheels_are_at_hand(clone: Clone) -> None:
    clone.up()
    clone.upstream.pages.stop()
    again = clone.up()
    assert {row.status for row in again.report.rows} == {"skipped"}
    assert clone.changed() == ""


@pytest.mark.parametrize("wanted", [MAC, replace(MAC, accelerators=("cpu",))])
def test_a_cell_that_the_lock_lacks_is_looked_up_beside_it(clone: Clone, wanted: Selection) -> None:
    before = clone.project.lock.read_bytes()
    result = clone.up(wanted)
    assert {v.line for v in result.chosen if v.package == "pytorch"} == {"torch-2.11.0"}
    assert clone.changed() == ""
    assert clone.project.lock.read_bytes() == before
    assert "asking upstream" in clone.said()
    # what is locked keeps its recipes, and so its packages
    names = clone.built()
    clone.up()
    assert {name for name in clone.built() - names if name.startswith("pytorch-2.10.0-")}


@pytest.mark.parametrize("torch", ["2.11.0", "2.11", "v2.11.0"])
def test_a_torch_that_the_lock_lacks_is_looked_up(clone: Clone, torch: str) -> None:
    result = clone.up(torch=torch)
    assert {v.wheels[0].version for v in result.chosen if v.package == "pytorch"} == {"2.11.0"}
    assert clone.changed() == ""


def test_what_nobody_has_is_absent_and_what_does_not_answer_is_unreachable(clone: Clone) -> None:
    with pytest.raises(AbsentError, match="no index of the train has a torch"):
        clone.up(torch="9.9.0")
    with pytest.raises(SelectionError, match="no cell with torch 9"):
        clone.up(torch="9.9.0", offline=True)
    with pytest.raises(SelectionError, match="not a version"):
        clone.up(torch="newest")
    clone.upstream.pages.stop()
    clone.upstream.forget_cache()
    with pytest.raises(UnreachableError):
        clone.up(MAC)
    assert clone.changed() == ""
    assert not (clone.project.root / ".armtorch/up").exists()


def test_recipes_that_are_not_what_the_lock_gives_stay_as_they_are(clone: Clone) -> None:
    (recipe,) = clone.project.root.glob("recipes/*/pytorch/recipe.yaml")
    recipe.write_text("# mine\n" + recipe.read_text())
    git(clone.project.root, "commit", "-qam", "Edit")
    clone.up()
    assert recipe.read_text().startswith("# mine\n")
    assert clone.changed() == ""
    assert "see armtorch render --check" in clone.said()


def test_without_a_lock_there_is_one_for_the_run(clone: Clone) -> None:
    clone.project.lock.unlink()
    git(clone.project.root, "commit", "-qam", "Forget")
    clone.up()
    assert any(name.startswith("pytorch-2.11.0-") for name in clone.built())
    assert clone.changed() == ""


def test_the_channel_has_what_clients_ask_of_one(clone: Clone) -> None:
    """run_exports.json (CEP 12), and which project of PyPI a package installs, as pixi reads it."""
    clone.up()
    root = clone.upstream.folder / "channel"
    for folder in (root / "linux-aarch64", root / "noarch"):
        known = json.loads((folder / "repodata.json").read_text())["packages.conda"]
        exported = json.loads((folder / "run_exports.json").read_text())["packages.conda"]
        assert exported.keys() == known.keys()
        for name, row in exported.items():
            said = Built.open(folder / name).info.get("info/run_exports.json", b"{}")
            assert row == {"run_exports": json.loads(said)}
        for name, record in known.items():
            purls = {
                "pytorch": ["pkg:pypi/torch@2.10.0"],
                "torchvision": ["pkg:pypi/torchvision@0.25.0"],
                "torchaudio": ["pkg:pypi/torchaudio@2.10.0"],
            }.get(record["name"])
            assert record.get("purls") == purls, name
    records = json.loads((root / "linux-aarch64/run_exports.json").read_text())["packages.conda"]
    assert any(row["run_exports"] for row in records.values())


def test_a_minor_is_the_newest_release_of_it(clone: Clone) -> None:
    clone.upstream.put("pypi", *trio("2.10.1", "0.25.1", "2.10.1"))
    clone.upstream.pages.forget()
    assert {v.version for v in plan(clone.project, LINUX, "2.10").chosen if v.wheels} >= {"2.10.0"}
    for written in ("2.10.1", "v2.10.1"):
        newest = plan(clone.project, LINUX, written).chosen
        assert {v.version for v in newest if v.package == "pytorch"} == {"2.10.1"}


@pytest.mark.parametrize("base", ["{folder}/nothing", "file://{folder}"])
def test_a_folder_that_is_no_channel_is_refused_before_any_network(
    base: str, tmp_path: Path
) -> None:
    (tmp_path / "feedstock.yaml").write_bytes(DECLARED.read_bytes())
    away = {**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    done = armtorch("up", "--base", base.format(folder=tmp_path), cwd=tmp_path, env=away)
    assert done.returncode == SelectionError.exit_code, done.stderr
    assert "it is no channel" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--subdir", "linux-arm64"), "perhaps you meant linux-a"),
        (("--python", "3.2"), "there are 3.8, "),
        (("--accelerator", "rocm"), "write cpu, cuda"),
    ],
)
def test_what_there_cannot_be_is_refused_before_any_network(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    (tmp_path / "feedstock.yaml").write_bytes(DECLARED.read_bytes())
    away = {**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    done = armtorch("up", *words, cwd=tmp_path, env=away)
    assert done.returncode == SelectionError.exit_code, done.stderr
    assert said in done.stderr


def test_what_would_be_built_is_listed_and_nothing_is_fetched(clone: Clone) -> None:
    done = armtorch("up", "--subdir", "linux-aarch64", "--dry-run", cwd=clone.project.root)
    assert done.returncode == 0
    listed = done.stdout.split()
    chosen = plan(clone.project, LINUX).chosen
    assert listed == [variant.id for variant in chosen]
    assert f"{len(listed)} packages of " in done.stderr
    assert "nothing was fetched or built" in done.stderr
    assert not list(clone.project.root.glob("**/*.whl"))
    assert not clone.built()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tset"], "Did you mean test?"),
        (["up", "--virtual", "cuda=13.0"], "write it like __cuda=13.0"),
        (["test", "--virtual", "__cuda"], "write it like __cuda=13.0"),
    ],
)
def test_what_is_mistyped_is_said_at_once(words: list[str], said: str, tmp_path: Path) -> None:
    done = armtorch(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
