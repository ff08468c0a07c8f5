"""The rendered workflows: clean for three linters, and every rule of ours can fail."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from generator.commands import cli
from generator.errors import DataError, RenderError
from generator.feedstock import Source
from generator.rendering import WORKFLOWS, workflow_files, workflow_settings, workflows
from tests.locks import feedstock
from tests.workflow_rules import check_workflow

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    small = Source(
        project="small",
        version="1.0",
        local="mine1",
        subdir="linux-armv7l",
        python="3.13",
        suite="trixie",
        source="pkg:deb/debian/small@1.0-1?arch=source",
        files={"small_1.0.orig.tar.gz": "0" * 64},
        targets=("part", "whole"),
        epoch=1,
    )
    sources = {"small": small, "other": replace(small, targets=(), upon="small")}
    found = workflow_files(feedstock(sources=sources))
    return {path: data.decode() for path, data in found.items()}


def test_compiling_is_three_jobs_that_hand_ccache_on_and_end_in_time(rendered):
    workflow = YAML(typ="safe").load(rendered[".github/workflows/compile.yml"])
    jobs = workflow["jobs"]
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "small-libraries": None,
        "small": "small-libraries",
        "other": "small",
    }
    settings = workflow_settings()
    assert int(settings.compile_limit[:-1]) * 60 < settings.timeouts["compile"]
    runs = [
        s["run"] for job in jobs.values() for s in job["steps"] if "compile" in s.get("run", "")
    ]
    assert [run.split(" --work")[0] for run in runs] == [
        "armtorch compile small/part",
        "armtorch compile small",
        "armtorch compile other",
    ]
    restores = [s["with"] for s in jobs["small"]["steps"] if "/restore" in s.get("uses", "")]
    saves = [s["with"]["key"] for s in jobs["small-libraries"]["steps"] if "/save" in str(s)]
    assert saves[0].startswith(restores[0]["restore-keys"])
    assert ".github/workflows/compile.yml" not in workflow_files(feedstock())


def build(rendered: dict[str, str]) -> str:
    return rendered[".github/workflows/build.yml"]


@pytest.fixture
def folder(rendered, tmp_path):
    for path, text in rendered.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path / ".github/workflows"


def zizmor(folder: Path) -> list[str]:
    done = subprocess.run(
        [BIN / "zizmor", "--offline", "--format=json", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    return [row["ident"] for row in json.loads(done.stdout)]


def test_zizmor_actionlint_and_the_schema_are_clean_and_would_see_a_defect(folder):
    assert zizmor(folder) == []
    schema: list[str | Path] = [
        BIN / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
    ]
    done = subprocess.run([*schema, *folder.glob("*.yml")], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
    path = folder / "build.yml"
    text = path.read_text()
    path.write_text(text.replace('--job "$JOB"', "--job ${{ github.head_ref }}"))
    assert "template-injection" in zizmor(folder)
    actionlint = [BIN / "actionlint", *folder.glob("*.yml")]
    path.write_text(text)
    linted = subprocess.run(actionlint, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout
    path.write_text(text.replace("needs.plan.outputs.shared", "needs.plan.outputs.share"))
    linted = subprocess.run(actionlint, capture_output=True, text=True, check=False)
    assert '"share" is not defined' in linted.stdout
    path.write_text(text.replace("runs-on:", "runs_on:"))
    done = subprocess.run([*schema, path], capture_output=True, check=False)
    assert done.returncode == 1


def test_every_workflow_is_rendered_and_parses(rendered):
    assert {f".github/workflows/{name}.yml" for name in WORKFLOWS} < rendered.keys()
    for name in WORKFLOWS:
        text = rendered[f".github/workflows/{name}.yml"]
        assert not re.search("<<|built-in", text)
        check_workflow(name, text.encode())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('armtorch build --job "$JOB"', "curl example.org", "something else than armtorch"),
        ('armtorch build --job "$JOB"', "armtorch build; id", "more than one command"),
        ('"$JOB" --skip', "${{ matrix.name }} --skip", "goes through env"),
        ("# v7.0.0", "# v7.0.0\n      - uses: a/b@main", "not pinned"),
        ("permissions: {}", "permissions: write-all", "without permissions"),
        ("permissions: {}", "permissions: {", "does not parse"),
        ("    timeout-minutes: 120\n", "", "no time limit"),
        ("    permissions:\n      contents: read\n", "", "does not say its permissions"),
    ],
)
def test_a_workflow_that_breaks_a_rule_is_not_written(rendered, old, new, said):
    text = build(rendered)
    assert old in text
    with pytest.raises(RenderError, match=said):
        check_workflow("build.yml", text.replace(old, new).encode())


def test_a_schedule_is_a_cron_expression(rendered):
    """A template that names a dict's method instead of its key once gave an address in memory."""
    text = rendered[".github/workflows/update.yml"]
    spoilt = re.sub("cron: .*", "cron: <built-in method update>", text)
    assert spoilt != text
    with pytest.raises(RenderError, match="no cron expression"):
        check_workflow("update.yml", spoilt.encode())


def test_a_call_grants_what_the_called_jobs_ask_for(rendered):
    """GitHub refuses to call a workflow whose jobs ask for more, also where they do not run."""
    files = {
        name: YAML(typ="safe").load(rendered[f".github/workflows/{name}.yml"]) for name in WORKFLOWS
    }
    asked: set[tuple[str, str]] = set()
    for job in files["build"]["jobs"].values():
        asked |= job["permissions"].items()
    calls = [j for w in files.values() for j in w["jobs"].values() if "uses" in j]
    assert len(calls) == 1
    for job in calls:
        assert asked <= set(job["permissions"].items())
        # a called workflow sees no secret of an environment, and is not to publish
        assert "secrets" not in job
        assert job["with"]["sample"]
    # and no job but those that reach the channel can ask for GitHub's signature under its name
    for workflow in files.values():
        for job in workflow["jobs"].values():
            assert "uses" in job or ("id-token" in job["permissions"]) == ("environment" in job)


def test_a_run_that_tries_and_then_builds_has_no_artifact_twice(rendered):
    """GitHub refuses a second artifact of a name; a job that is run again replaces its own."""
    text = build(rendered)
    uploads = [
        step["with"]
        for job in YAML(typ="safe").load(text)["jobs"].values()
        for step in job["steps"]
        if "upload-artifact" in step.get("uses", "")
    ]
    own = "${{ matrix.artifact }}"
    assert [each["name"] for each in uploads] == [own, f"verdicts-{own}"] * 2
    assert all(each["overwrite"] for each in uploads)


def test_secrets_are_in_jobs_that_no_fork_reaches(rendered):
    for name in WORKFLOWS:
        workflow = YAML(typ="safe").load(rendered[f".github/workflows/{name}.yml"])
        for name_of, job in workflow["jobs"].items():
            if "secrets." in json.dumps(job):
                # whoever may upload may not delete, and reviewers of one hold none of the others
                use = {"missing": "read"}.get(name_of, name_of)
                assert job["environment"] == workflow_settings().environments[use]
                guarded = "github.event_name != 'pull_request'" in job["if"]
                assert guarded or "pull_request" not in workflow["on"]


def test_an_action_without_a_pin_is_a_data_error(monkeypatch):
    few = workflows.ActionPins(format=1, actions=())
    monkeypatch.setattr(workflows, "action_pins", lambda: few)
    with pytest.raises(DataError, match="no pin for"):
        workflow_files(feedstock())


def test_every_command_of_a_workflow_is_one_there_is(rendered):
    """`armtorch X --help` knows every option that a workflow uses."""
    seen = set()
    for text in rendered.values():
        for run in re.findall(r"run: armtorch (?:--feedstock \S+ )?(.*)", text):
            words = run.split()
            command = words[:2] if words[0] == "ci" else words[:1]
            options = [word for word in words if word.startswith("--")]
            done = CliRunner().invoke(cli, [*command, "--help"])
            assert done.exit_code == 0, (run, done.output)
            for option in options:
                assert option in done.output, run
            seen.add(command[-1])
    assert {
        "plan",
        "join",
        "missing",
        "merge",
        "verify",
        "release",
        "build",
        "test",
        "retire",
    } <= seen


def test_a_matrix_has_no_more_jobs_than_it_may():
    settings = workflow_settings()
    assert settings.maximum_jobs <= 256


def test_no_job_that_writes_restores_what_others_saved(rendered):
    """A job that runs upstream's code could save anything under any key."""
    for name in WORKFLOWS:
        workflow = YAML(typ="safe").load(rendered[f".github/workflows/{name}.yml"])
        for job in workflow["jobs"].values():
            caches = [s for s in job.get("steps", ()) if "actions/cache" in s.get("uses", "")]
            if caches:
                assert set(job["permissions"].values()) == {"read"}
                assert not any("wheel" in step["with"]["path"] for step in caches)


def test_who_waits_for_a_reviewer_keeps_only_who_publishes_waiting(rendered):
    """A job that waits holds its groups and its run's; it may do so for 30 days."""
    files = {
        name: YAML(typ="safe").load(rendered[f".github/workflows/{name}.yml"]) for name in WORKFLOWS
    }
    publish = workflow_settings().environments["publish"]
    waits = {n for n, w in files.items() for j in w["jobs"].values() if _environment(j) == publish}
    assert waits == {"build"}
    assert "concurrency" not in files["nightly"], "retire may wait for who publishes"
    assert files["update"]["concurrency"]["group"] == "update"
    assert not any(_environment(job) for job in files["update"]["jobs"].values())


def _environment(job):
    return job.get("environment", "")


def test_no_job_that_waits_to_publish_is_ended_by_another(rendered):
    for name in WORKFLOWS:
        workflow = YAML(typ="safe").load(rendered[f".github/workflows/{name}.yml"])
        for job in workflow["jobs"].values():
            group = job.get("concurrency", {"queue": "max", "cancel-in-progress": False})
            assert (group["queue"], group["cancel-in-progress"]) == ("max", False)


def test_what_a_package_holds_does_not_depend_on_where_the_repository_lies(rendered):
    """A renamed one would give other bytes under old names; it is asked for by the API only."""
    for name in WORKFLOWS:
        workflow = YAML(typ="safe").load(rendered[f".github/workflows/{name}.yml"])
        for job in workflow["jobs"].values():
            for step in job.get("steps", ()):
                if re.search(r"github\.(repository|server_url|run_id|actor|sha)", json.dumps(step)):
                    asks = step.get("run", "").startswith("armtorch ci ")
                    uses = step.get("uses", "")
                    # the key of a cache decides what is quick, not what is in a package
                    assert asks or uses.startswith(("actions/checkout", "actions/cache")), step
