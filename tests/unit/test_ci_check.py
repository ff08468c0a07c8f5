"""`armtorch ci check`: a setting that keeps CI from working is named, and where it is changed."""

from __future__ import annotations

import copy
import datetime as dt
import json
from typing import Any

import pytest

from generator.ci.repository import Setting, check_repository
from generator.provider.github import GitHub
from tests import servers

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
REPOSITORY = "/repos/me/x"
WORKFLOWS = ("build", "nightly", "update")
#: what GitHub answers of a repository that is set up as docs/ci.md says
RIGHT: dict[str, Any] = {
    "": {"private": False, "default_branch": "main", "allow_merge_commit": True},
    "/actions/permissions/workflow": {"can_approve_pull_request_reviews": True},
    "/rules/branches/main": [{"type": "deletion"}],
    "/environments": {"environments": [{"name": "publish", "protection_rules": []}]},
    "/actions/variables/ARMTORCH_DESTINATION": {"value": "https://prefix.dev/me"},
    "/actions/workflows": {
        "workflows": [
            {"path": f".github/workflows/{name}.yml", "state": "active"} for name in WORKFLOWS
        ]
    },
    "/actions/workflows/update.yml/runs?status=success&per_page=1": {
        "workflow_runs": [{"run_started_at": "2026-11-22T11:23:00Z"}]
    },
    "/commits/main": {"commit": {"committer": {"date": "2026-11-20T00:00:00Z"}}},
}
REVIEWED = [
    {"name": name, "protection_rules": [{"type": "required_reviewers"}]}
    for name in ("publish", "read", "retire")
]


def check(answers: dict[str, Any]) -> dict[str, list[Setting]]:
    def answer(_: str, path: str) -> tuple[int, bytes] | None:
        found = answers.get(path.removeprefix(REPOSITORY))
        if isinstance(found, int):
            return found, b"{}"
        return None if found is None else (200, json.dumps(found).encode())

    with servers.recorder(answer) as server:
        found = check_repository(GitHub(url=server.url), "me/x", now=NOW)
    return {name: [r for r in found if r.name == name] for name in {r.name for r in found}}


def test_what_is_set_up_as_the_docs_say_is_right() -> None:
    found = check(RIGHT)
    assert {row.state for rows in found.values() for row in rows} == {"right"}
    assert len(found) == 10


@pytest.mark.parametrize(
    ("path", "answer", "name", "said"),
    [
        ("/actions/permissions/workflow", {}, "pull requests", "no release is proposed"),
        ("", RIGHT[""] | {"allow_merge_commit": False}, "merging", "not allowed"),
        (
            "/rules/branches/main",
            [{"type": "required_status_checks"}],
            "required checks",
            "starts no workflow",
        ),
        ("/environments", {"environments": []}, "environments", "no environment publish"),
        ("/environments", {"environments": REVIEWED}, "reviewers", "every night"),
        ("/actions/variables/ARMTORCH_DESTINATION", None, "destination", "nothing is published"),
        ("", RIGHT[""] | {"private": True}, "visibility", "minutes are counted"),
        (
            "/actions/workflows",
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
    wrong = [row for row in check(answers)[name] if row.state == "wrong"]
    assert any(said in row.said for row in wrong), wrong
    assert all(row.where for row in wrong)


def test_what_a_token_may_not_see_is_unknown_and_not_right() -> None:
    answers = copy.deepcopy(RIGHT) | {"/actions/permissions/workflow": 403}
    del answers[""]["allow_merge_commit"]
    found = check(answers)
    assert [row.state for row in (*found["pull requests"], *found["merging"])] == ["unknown"] * 2
