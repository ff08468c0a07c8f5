"""`ci: gitlab`: GitLab's schema takes the pipeline, and gitlab-ci-local runs it to the end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from generator.ci.jobs import JobPlan
from generator.ci.proposing import back_to, propose
from generator.ci.tried import mark_in
from generator.commands import cli
from generator.console import Silent
from generator.errors import AbsentError, SelectionError
from generator.lock import Announcement, LockDiff
from generator.matrix import Jobs, jobs, variants
from generator.project import Project
from generator.provider.gitlab import GitLab, gitlab_of
from generator.rendering import workflow_files, workflow_settings
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock
from tests import servers
from tests.gitlab_runs import GitLabRuns, MissingProgramError, installed, stand_ins, started
from tests.golden_trees import golden_lock
from tests.index_server import IndexServer
from tests.integration.small_release import NEW, OLD, base, environment, put, wheels
from tests.locks import feedstock
from tests.replayed_actions import git

pytestmark = pytest.mark.integration

BIN = Path(sys.executable).parent
FEEDSTOCK = """\
channel: synthetic
maintainers: [someone]
repository: https://gitlab.example/me/armtorch
ci: gitlab
indexes:
  pypi: {{kind: pip}}
trains:
  stable: {{keep: [newest], indexes: [pypi]}}
subdirs:
  osx-arm64: {{accelerators: [cpu], base: ["{base}"]}}
policies: {{compression_level: 1, published_level: 1}}
"""
SUBDIR = "osx-arm64"
COMMIT = "a" * 40
#: how the lines of a script begin
COMMANDS = (
    "armtorch ",
    "git fetch",
    "git worktree",
    "git checkout",
    "mv ",
    "mkdir ",
    "if ls channel/",
    "if test -d refused;",
    "true",
)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[IndexServer]:
    (tmp_path / "index").mkdir()
    with IndexServer(tmp_path / "index") as server:
        put(server, *wheels(*OLD, SUBDIR))
        yield server


def needs_gitlab_ci_local() -> None:
    try:
        installed()
    except MissingProgramError as error:
        pytest.skip(str(error))


@pytest.fixture
def running(index: IndexServer, tmp_path: Path) -> GitLabRuns:
    """A project whose first release is merged."""
    needs_gitlab_ci_local()
    given = {**environment(index), "XDG_CACHE_HOME": str(tmp_path / "caches")}
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "feedstock.yaml").write_text(FEEDSTOCK.format(base=base(tmp_path / "base")))
    project = Project(
        feedstock=clone / "feedstock.yaml",
        narrator=Silent(),
        environment=given,
        cache=tmp_path / "caches/armtorch",
    )
    update_lock(project)
    render_feedstock(project)
    programs = stand_ins(tmp_path / "programs", workflow_settings().python)
    runs = GitLabRuns(clone, tmp_path / "origin.git", programs, given)
    runs.start({".gitignore": b"/.gitlab-ci-local*\n/.armtorch/\n/wheelhouse\n"})
    return runs


def published(folder: Path) -> set[str]:
    return {path.name.rpartition("-")[0] for path in folder.glob(f"{SUBDIR}/*.conda")}


def test_a_push_builds_tests_and_publishes_what_a_night_does_not_build_again(
    running: GitLabRuns, tmp_path: Path
) -> None:
    served = tmp_path / "served"
    served.mkdir()
    done = running.run("push", ARMTORCH_DESTINATION=served.as_uri())
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"libtorch-2.10.0", "pytorch-2.10.0", "torchaudio-2.10.0"} <= published(served)
    # the next night there is nothing to build, and that is no failure
    done = running.run(
        "schedule", ARMTORCH_SCHEDULE="nightly", ARMTORCH_DESTINATION=served.as_uri()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ran = set(re.findall(r"(\S+) +starting shell", done.stdout))
    assert ran == {"missing", "retire", "armtorch", "publish"}, done.stdout


def test_a_release_is_a_merge_request_that_merges_itself(
    running: GitLabRuns, index: IndexServer
) -> None:
    put(index, *wheels(*NEW, SUBDIR))
    api = Api()
    with servers.recorder(api.answer) as server:
        given = {"CI_API_V4_URL": server.url, "ARMTORCH_TOKEN": "secret-token"}
        done = running.run("schedule", **given)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "secret-token" not in done.stdout + done.stderr
        (changed,) = (json.loads(body) for method, _, body in asked(server) if method == "PUT")
        api.rows[0]["description"] = changed["description"]
        again = running.run("schedule", **given)
    assert "torch 2.11.0" in changed["title"]
    assert mark_in(changed["description"])
    # one commit on main, with what the release is
    said = git(running.origin, "diff", "--stat", "main", "armtorch-release")
    assert "feedstock.lock.yaml" in said
    assert git(running.origin, "rev-list", "--count", "main..armtorch-release").strip() == "1"
    options = (running.origin / "options").read_text()
    assert "merge_request.create" in options
    assert "merge_request.auto_merge" in options
    # tried by the pipeline of its branch, and not proposed again while that is under way
    assert "not tried: " in again.stdout


def test_each_event_starts_its_jobs(rendered: dict[str, str], tmp_path: Path) -> None:
    needs_gitlab_ci_local()
    for path, text in rendered.items():
        (tmp_path / path).write_text(text)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "commit", "-qm", "Start", "--allow-empty")
    git(tmp_path, "remote", "add", "origin", "https://gitlab.example/me/x.git")
    to = {"ARMTORCH_DESTINATION": "s3://bucket/x"}

    def jobs_of(source: str, *without: str, **given: str) -> set[str]:
        file = "nothing.yml" if source == "parent_pipeline" else ".gitlab-ci.yml"
        return started(tmp_path, file, {"CI_PIPELINE_SOURCE": source, **given}, *without)

    assert jobs_of("push", **to) == {"plan", "build"}
    assert jobs_of("merge_request_event", "CI_COMMIT_BRANCH", **to) == {"plan", "build"}
    assert jobs_of("schedule", **to) == {"release"}
    nightly = {"ARMTORCH_SCHEDULE": "nightly"}
    assert jobs_of("schedule", **nightly, **to) == {"missing", "build missing", "retire"}
    assert jobs_of("schedule", **nightly) == set()
    # of main alone anything is published, and what is tried is put back on its own branch alone
    child = "parent_pipeline"
    assert jobs_of(child, **to) == {"publish", "armtorch"}
    assert jobs_of(child) == {"armtorch"}
    assert jobs_of(child, "CI_COMMIT_BRANCH", **to) == {"armtorch"}
    assert jobs_of(child, CI_COMMIT_BRANCH="armtorch-release", **to) == {"hold", "armtorch"}


class Api:
    """GitLab's API, with one merge request."""

    def __init__(self, **changed: Any) -> None:
        row = {"iid": 7, "web_url": "https://gitlab.example/7", "sha": COMMIT, "state": "opened"}
        own = {"source_project_id": 1, "target_project_id": 1, "description": ""}
        self.rows = [{**row, **own, **changed}]
        self.status = "running"

    def answer(self, method: str, path: str) -> tuple[int, bytes]:
        if "/pipelines?" in path:
            found: Any = [{"status": self.status, "updated_at": "2099-01-01T00:00:00Z"}]
        elif "/repository/commits/" in path:
            return 404, b"{}"
        else:
            found = self.rows[0] if method == "PUT" else self.rows
        return 200, json.dumps(found).encode()


def asked(server: servers.Recorder) -> list[tuple[str, str, bytes]]:
    return [(method, path, body) for method, path, _, body in server.asked]


def yaml_of(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    declared = replace(feedstock(), ci="gitlab")
    made = jobs(variants(declared, golden_lock()), pythons_per_job=3, maximum=256)
    blocked = {made.variants[0].variants[0].id: "the base channels lack triton"}
    nothing = JobPlan(jobs=Jobs(shared=(), variants=()), blocked={})
    return {
        ".gitlab-ci.yml": workflow_files(declared)[".gitlab-ci.yml"].decode(),
        "jobs.yml": JobPlan(jobs=made, blocked=blocked).pipeline(declared),
        "nothing.yml": nothing.pipeline(declared),
    }


def test_gitlabs_schema_takes_them_and_would_see_a_defect(
    rendered: dict[str, str], tmp_path: Path
) -> None:
    judge: list[str | Path] = [BIN / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci"]
    for path, text in rendered.items():
        (tmp_path / path).write_text(text)
    paths = [tmp_path / path for path in rendered]
    done = subprocess.run([*judge, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    paths[0].write_text(rendered[".gitlab-ci.yml"].replace("strategy: depend", "strategy: wait"))
    assert subprocess.run([*judge, paths[0]], capture_output=True, check=False).returncode == 1


def test_no_workflow_of_github_lies_beside_it() -> None:
    assert set(workflow_files(replace(feedstock(), ci="gitlab"))) == {
        ".gitlab-ci.yml",
        "conda-forge.yml",
    }


def test_a_job_waits_for_what_its_packages_need_and_runs_where_they_do(
    rendered: dict[str, str],
) -> None:
    found = yaml_of(rendered["jobs.yml"])
    made = {name: row for name, row in found.items() if name.startswith(("9.", "metapackages"))}
    shared = {name for name, row in made.items() if row["stage"] == "shared"}
    for name, row in made.items():
        subdir = next(
            each for each in (*workflow_settings().gitlab.runners, "noarch") if each in name
        )
        assert row["tags"] == list(workflow_settings().gitlab.runner(subdir).tags)
        needs = row["needs"]
        if row["stage"] == "variants":
            cell = name.rpartition("-")[0]
            assert {f"{cell}-shared"} & shared <= set(needs) <= shared
            assert all(each.startswith((cell, "metapackages-")) for each in needs)
        else:
            assert needs == []
    assert any(row["variables"]["SKIP"] for row in made.values())


def test_who_may_publish_or_push_is_asked_for_nothing_else(rendered: dict[str, str]) -> None:
    """Variables are those of an environment: no job that runs upstream's code has one."""
    for text in rendered.values():
        for name, job in yaml_of(text).items():
            if isinstance(job, dict) and "script" in job:
                uses = {"release", "hold", "missing", "publish", "retire"}
                assert ("environment" in job) == (name in uses)
                assert all(line.startswith(COMMANDS) for line in job["script"]), job["script"]


def test_every_command_is_one_there_is(rendered: dict[str, str]) -> None:
    for run in re.findall(r"armtorch ((?:ci )?[a-z]+ .*--.*)", "".join(rendered.values())):
        words = run.partition(";")[0].split()
        command = words[: 2 if words[0] == "ci" else 1]
        done = CliRunner().invoke(cli, [*command, "--help"])
        assert done.exit_code == 0, run
        assert all(word in done.output for word in words if word.startswith("--")), run


def hub(server: servers.Recorder, remote: str = "") -> GitLab:
    return GitLab(url=server.url, repository="me/x", remote=remote, target="main", token="t")  # noqa: S106 - no secret


@pytest.mark.parametrize(
    ("status", "state"),
    [("running", "pending"), ("success", "success"), ("failed", "error"), ("canceled", "error")],
)
def test_how_trying_a_release_ended_is_its_pipelines_status(status: str, state: str) -> None:
    api = Api()
    api.status = status
    with servers.recorder(api.answer) as server:
        found = hub(server).outcome("me/x", COMMIT, "armtorch")
    assert found is not None
    assert found.state == state


@pytest.mark.parametrize(
    ("changed", "there"),
    [({}, [True]), ({"state": "closed"}, [False]), ({"source_project_id": 2}, [])],
)
def test_a_strangers_merge_request_says_nothing_of_a_release(
    changed: dict[str, object], there: list[bool]
) -> None:
    with servers.recorder(Api(**changed).answer) as server:
        own = hub(server)
        assert [each.open for each in own.pull_requests("me/x", "armtorch-release")] == there
        if there != [True]:
            with pytest.raises(AbsentError, match="no merge request"):
                own.describe("armtorch-release", "title", "text")


def test_what_is_left_of_a_release_is_one_commit_and_still_what_was_looked_at(
    tmp_path: Path,
) -> None:
    clone = tmp_path / "clone"
    for folder in ("recipes", ".ci_support"):
        (clone / folder).mkdir(parents=True)
        (clone / folder / "a").touch()
    for name in ("feedstock.yaml", "feedstock.lock.yaml", "CHANGELOG.md"):
        (clone / name).touch()
    git(clone, "init", "-q", "-b", "main")
    for change in ("main", "release"):
        (clone / "CHANGELOG.md").write_text(change)
        git(clone, "add", "-A")
        git(clone, "commit", "-qm", change)
    origin = tmp_path / "origin.git"
    git(tmp_path, "init", "-q", "--bare", str(origin))
    git(origin, "config", "receive.advertisePushOptions", "true")
    (clone / "CHANGELOG.md").write_text("held")
    (clone / "jobs.yml").touch()  # what a job left there is none of it
    project = Project(feedstock=clone / "feedstock.yaml", narrator=Silent())
    mark = f"<!-- armtorch, made of: {'b' * 64} -->"
    said = Announcement(diff=LockDiff(rows=()), numbers={}, findings=())
    with servers.recorder(Api(description=mark).answer) as server:
        back_to(project, "HEAD^")
        propose(project, hub(server, str(origin)), said)
        (put,) = (json.loads(body) for method, _, body in asked(server) if method == "PUT")
    assert mark in put["description"]
    assert git(origin, "rev-list", "--count", "armtorch-release").strip() == "2"
    assert git(origin, "log", "-1", "--format=%s", "armtorch-release") == said.title.strip()
    assert mark in git(origin, "log", "-1", "--format=%b", "armtorch-release")
    assert git(origin, "show", "armtorch-release:CHANGELOG.md") == "held"
    assert "jobs.yml" not in git(origin, "ls-tree", "--name-only", "armtorch-release")


def test_outside_of_gitlab_nothing_is_proposed() -> None:
    with pytest.raises(SelectionError, match=r"CI_API_V4_URL.*ARMTORCH_TOKEN: not set"):
        gitlab_of({})
