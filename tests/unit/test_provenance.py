"""Which commit a package states, in histories of every kind (CEP 31)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from generator.building.provenance import provenances
from generator.console import Silent
from generator.errors import AbsentError, SelectionError
from generator.lock import write_lock
from generator.model import BuildNumber, Lock, Variant
from generator.model.provenance import Provenance, provenance_of
from generator.project import Project
from tests.replayed_actions import git
from tests.tiny_recipes import make_repo

URL = "https://github.com/me/armtorch"
ONE, TWO = "1" * 64, "2" * 64  # YAML quotes what reads as a number
NAME = "1.0/tiny"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "clone").mkdir()
    git(tmp_path / "clone", "init", "-q", "-b", "main")
    return Project(feedstock=tmp_path / "clone/feedstock.yaml", narrator=Silent())


@pytest.fixture
def variant(tmp_path: Path) -> Variant:
    return make_repo(tmp_path / "tiny").add(pythons=("3.12",))[0]


def commit(project: Project, builds: Mapping[str, tuple[int, str]], message: str = "c") -> str:
    """Commit a lock, and return its commit."""
    write_lock(lock(builds), project.lock)
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", message)
    return git(project.root, "rev-parse", "HEAD")


def lock(builds: Mapping[str, tuple[int, str]]) -> Lock:
    return Lock(builds={n: BuildNumber(number=i, digest=d) for n, (i, d) in builds.items()})


def stated(project: Project, variant: Variant, number: int, digest: str) -> str:
    known = lock({f"{variant.line}/{variant.package}": (number, digest)})
    return provenances(project, known, [variant], URL)[variant.id].sha


def test_later_commits_change_nothing(project: Project, variant: Variant) -> None:
    first = commit(project, {NAME: (0, ONE)})
    commit(project, {NAME: (0, ONE), "1.0/other": (0, TWO)})
    (project.root / "README").write_text("more")
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", f"commit {'0' * 40}")
    assert stated(project, variant, 0, ONE) == first


def test_a_line_that_is_called_otherwise_later_keeps_its_commit(
    project: Project, variant: Variant
) -> None:
    """Yesterday's nightly moves to a line of its own, under the same file name."""
    first = commit(project, {"nightly/tiny": (3, ONE)})
    commit(project, {"nightly/tiny": (0, TWO), "nightly-1/tiny": (3, ONE)})
    assert stated(project, replace(variant, line="nightly-1"), 3, ONE) == first


def test_the_next_build_states_its_own_commit_and_so_does_what_came_back(
    project: Project, variant: Variant
) -> None:
    commit(project, {NAME: (0, ONE)})
    second = commit(project, {NAME: (1, TWO)})
    third = commit(project, {NAME: (2, ONE)})
    assert stated(project, variant, 1, TWO) == second
    assert stated(project, variant, 2, ONE) == third


def test_what_was_tried_on_a_branch_is_stated_after_the_merge(
    project: Project, variant: Variant
) -> None:
    commit(project, {"1.0/other": (0, TWO)})
    git(project.root, "switch", "-qc", "armtorch-release")
    tried = commit(project, {NAME: (0, ONE), "1.0/other": (0, TWO)})
    assert stated(project, variant, 0, ONE) == tried
    git(project.root, "switch", "-q", "main")
    (project.root / "README").write_text("meanwhile")
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "Meanwhile")
    git(project.root, "merge", "-q", "--no-ff", "-m", "Merge", "armtorch-release")
    assert stated(project, variant, 0, ONE) == tried


def test_inputs_that_are_in_no_commit_have_no_provenance(
    project: Project, variant: Variant, tmp_path: Path
) -> None:
    with pytest.raises(AbsentError, match="does not tell the history"):
        stated(project, variant, 0, ONE)  # not even one commit
    commit(project, {NAME: (0, ONE)})
    with pytest.raises(AbsentError, match="is in no commit"):
        stated(project, variant, 1, TWO)
    commit(project, {NAME: (1, TWO)})
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", project.root.as_uri(), str(shallow))
    there = Project(feedstock=shallow / "feedstock.yaml", narrator=Silent())
    with pytest.raises(AbsentError, match="shallow"):
        stated(there, variant, 1, TWO)
    outside = Project(feedstock=tmp_path / "feedstock.yaml", narrator=Silent())
    with pytest.raises(AbsentError, match="does not tell the history"):
        stated(outside, variant, 1, TWO)


@pytest.mark.parametrize(
    "url",
    ["git@github.com:me/x", "https://token@github.com/me/x", "https://github.com/me?x=1", "x"],
)
def test_an_address_with_a_login_is_never_written(
    project: Project, variant: Variant, url: str
) -> None:
    with pytest.raises(SelectionError):
        provenances(project, lock({NAME: (0, ONE)}), [variant], url)


def test_it_is_read_back_from_what_it_writes_and_from_nothing_else() -> None:
    made = Provenance(remote_url=URL, sha="a" * 40)
    assert provenance_of({"armtorch": {"digest": ONE}, **made.fields()}) == made
    for spoilt in ({"sha": "a" * 39}, {"remote_url": "file:///x"}, {"sha": None}):
        assert provenance_of({**made.fields(), **spoilt}) is None
