"""`armtorch ci check`: a setting that keeps CI from working is named, and where it is changed."""

from __future__ import annotations

import copy
import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from generator.ci.repository import Setting, check_repository
from generator.commands import cli
from generator.feedstock import read_feedstock
from generator.provider.github import GitHub
from tests import servers
from tests.own_feedstock import DECLARED

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
REPOSITORY = "/repos/me/x"
ADDRESS = "https://github.com/me/x"
WORKFLOWS = ("build", "nightly", "update")
#: what GitHub answers of a repository that is set up as docs/ci.md says
RIGHT: dict[str, Any] = {
    "": {"private": False, "default_branch": "main", "allow_merge_commit": True},
    "/actions/permissions/workflow": {"can_approve_pull_request_reviews": True},
    "/rules/branches/main?per_page=100": [
        {"type": "deletion"},
        {"type": "pull_request", "parameters": {"required_approving_review_count": 0}},
        {
            "type": "required_status_checks",
            "parameters": {"required_status_checks": [{"context": "armtorch"}]},
        },
    ],
    "/branches/main": {"protection": {"enabled": False}},
    "/environments?per_page=100": {
        "environments": [
            {"name": name, "protection_rules": [], "deployment_branch_policy": {}}
            for name in ("publish", "read", "retire")
        ]
    },
    "/actions/permissions": {"enabled": True, "allowed_actions": "all"},
    "/actions/permissions/selected-actions": {
        "github_owned_allowed": True,
        "patterns_allowed": ["aws-actions/*", "mamba-org/setup-micromamba@*"],
    },
    "/actions/variables/ARMTORCH_DESTINATION": {"value": "https://prefix.dev/me"},
    "/actions/workflows?per_page=100": {
        "workflows": [
            {"path": f".github/workflows/{name}.yml", "state": "active"} for name in WORKFLOWS
        ]
    },
    "/actions/workflows/update.yml/runs?status=success&per_page=1": {
        "workflow_runs": [{"run_started_at": "2026-11-22T11:23:00Z"}]
    },
    "/commits/main": {"commit": {"committer": {"date": "2026-11-20T00:00:00Z"}}},
}
SELECTED = {"enabled": True, "allowed_actions": "selected"}
REVIEWED = [
    {"name": name, "protection_rules": [{"type": "required_reviewers"}]}
    for name in ("publish", "read", "retire")
]


def check(answers: dict[str, Any], declared: str = ADDRESS) -> dict[str, list[Setting]]:
    feedstock = replace(read_feedstock(DECLARED), repository=declared or None)

    def answer(_: str, path: str) -> tuple[int, bytes] | None:
        found = answers.get(path.removeprefix(REPOSITORY))
        if isinstance(found, int):
            return found, b"{}"
        return None if found is None else (200, json.dumps(found).encode())

    with servers.recorder(answer) as server:
        found = check_repository(GitHub(url=server.url), "me/x", feedstock, now=NOW)
    return {name: [r for r in found if r.name == name] for name in {r.name for r in found}}


def test_what_is_set_up_as_the_docs_say_is_right() -> None:
    found = check(RIGHT)
    assert {row.state for rows in found.values() for row in rows} == {"right"}
    assert len(found) == 15
    private = RIGHT | {"": RIGHT[""] | {"private": True}}
    private |= {"/actions/variables/ARMTORCH_ATTEST": {"value": "never"}}
    assert check(private)["visibility"][0].state == "right"
    few = copy.deepcopy(RIGHT) | {"/actions/permissions": SELECTED}
    few["/actions/permissions/selected-actions"]["patterns_allowed"].append("peter-evans/*")
    assert check(few)["actions"][0].state == "right"


@pytest.mark.parametrize(
    ("path", "answer", "name", "said"),
    [
        ("/actions/permissions/workflow", {}, "pull requests", "no release is proposed"),
        ("", RIGHT[""] | {"allow_merge_commit": False}, "merging", "not allowed"),
        (
            "/rules/branches/main?per_page=100",
            [
                {
                    "type": "required_status_checks",
                    "parameters": {"required_status_checks": [{"context": "test"}]},
                }
            ],
            "required checks",
            "requires test, which a release never gets",
        ),
        (
            "/branches/main",
            {"protection": {"required_status_checks": {"contexts": ["build / plan"]}}},
            "required checks",
            "requires build / plan",
        ),
        (
            "/rules/branches/main?per_page=100",
            [
                {"type": "required_signatures"},
                {"type": "pull_request", "parameters": {"required_approving_review_count": 1}},
            ],
            "rules",
            "pull_request, required_signatures",
        ),
        (
            "/environments?per_page=100",
            {"environments": []},
            "environments",
            "no environment publish, read, retire",
        ),
        ("/environments?per_page=100", {"environments": REVIEWED}, "reviewers", "every night"),
        (
            "/environments?per_page=100",
            {"environments": REVIEWED},
            "reviewers",
            "retire waits for a reviewer, every night",
        ),
        ("/actions/variables/ARMTORCH_DESTINATION", None, "destination", "nothing is published"),
        *(
            ("/actions/variables/ARMTORCH_DESTINATION", {"value": value}, "destination", said)
            for value, said in (
                ("https://prefix.dev/channels/me", "not a destination"),
                ("prefix.dev/me", "nothing is published"),
                ("/srv/channel", "nothing is published"),
            )
        ),
        ("", RIGHT[""] | {"default_branch": "master"}, "branch", "is master"),
        ("/actions/permissions", {"enabled": False}, "actions", "are off"),
        (
            "/actions/permissions",
            SELECTED,
            "actions",
            "not run peter-evans/create-pull-request",
        ),
        (
            "/environments?per_page=100",
            {"environments": REVIEWED},
            "branches",
            "publish, read, retire",
        ),
        ("", RIGHT[""] | {"fork": True}, "address", "this is a fork"),
        ("", RIGHT[""] | {"private": True}, "visibility", "for enterprises only"),
        (
            "/actions/workflows?per_page=100",
            {"workflows": [{"path": "x/update.yml", "state": "disabled_inactivity"}]},
            "schedules",
            "disabled_inactivity",
        ),
        (
            "/actions/workflows/update.yml/runs?status=success&per_page=1",
            {"workflow_runs": [{"run_started_at": "2026-11-20T11:23:00Z"}]},
            "last look",
            "49 h ago",
        ),
        (
            "/commits/main",
            {"commit": {"committer": {"date": "2026-09-13T00:00:00Z"}}},
            "activity",
            "ends the schedules 0 days from now",
        ),
    ],
)
def test_what_is_not_is_named_with_the_place_where_it_is_changed(
    path: str, answer: Any, name: str, said: str
) -> None:
    answers = copy.deepcopy(RIGHT) | {path: answer}
    declared = "https://github.com/somebody/x" if name == "address" else ADDRESS
    wrong = [row for row in check(answers, declared)[name] if row.state == "wrong"]
    assert any(said in row.said for row in wrong), wrong
    assert all(row.where for row in wrong)


def test_what_a_token_may_not_see_is_unknown_and_not_right() -> None:
    answers = copy.deepcopy(RIGHT) | {"/actions/permissions/workflow": 403}
    del answers[""]["allow_merge_commit"]
    found = check(answers)
    assert [row.state for row in (*found["pull requests"], *found["merging"])] == ["unknown"] * 2


def test_an_address_that_feedstock_yaml_lacks_is_said_and_is_what_is_looked_at(
    tmp_path: Path,
) -> None:
    (row,) = check(RIGHT, declared="")["address"]
    assert (row.state, row.where) == ("wrong", f"feedstock.yaml: repository: {ADDRESS}")
    path = tmp_path / "feedstock.yaml"
    text = DECLARED.read_text(encoding="utf-8")
    arguments = ["--feedstock", str(path), "ci", "check", "--only", "address", "--api"]
    path.write_text(text, encoding="utf-8")
    lost = CliRunner().invoke(cli, [*arguments, "http://127.0.0.1:9"])
    assert "--repository OWNER/NAME" in lost.output
    path.write_text(f"{text}\nrepository: {ADDRESS}.git\n", encoding="utf-8")
    with servers.recorder(lambda _, path: (200, b"{}") if path == REPOSITORY else None) as server:
        found = CliRunner().invoke(cli, [*arguments, server.url])
    assert found.exit_code == 0, found.output
    assert f"right: address: packages say that their recipes are at {ADDRESS}.git" in found.output


def test_seventy_quiet_days_are_announced_before_the_schedules_end() -> None:
    """The watch of nightly.yml is red for ten days; then it is `ci check` that says it."""
    pushed = NOW - dt.timedelta(days=70)
    told = {}
    for day in (0, 49, 50, 59):
        when = (NOW - dt.timedelta(days=day)).isoformat()
        answers = RIGHT | {"/commits/main": {"commit": {"committer": {"date": when}}}}
        (told[day],) = [row.state for row in check(answers)["activity"]]
    assert told == {0: "right", 49: "right", 50: "wrong", 59: "wrong"}
    ended = [
        {"path": f".github/workflows/{name}.yml", "state": "disabled_inactivity"}
        for name in WORKFLOWS
    ]
    answers = RIGHT | {
        "/commits/main": {"commit": {"committer": {"date": pushed.isoformat()}}},
        "/actions/workflows?per_page=100": {"workflows": ended},
    }
    rows = check(answers)["schedules"]
    assert [(row.state, row.said.split(" is ")[1]) for row in rows] == [
        ("wrong", "disabled_inactivity")
    ] * 3
    assert all("enable the workflow" in row.where for row in rows)
