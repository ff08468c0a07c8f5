"""GitHub's API, as far as the workflows ask it: pull requests, statuses, merging, and settings."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.replayed_actions import RefusedError, git
from tests.replayed_rules import rule
from tests.servers import serving


@dataclass(frozen=True)
class Event:
    """Something that happened to the repository."""

    #: as a workflow's `on` names it
    kind: str
    branch: str
    #: whether a workflow did it, by GITHUB_TOKEN
    by_token: bool
    #: the one workflow that is asked for, and its inputs
    workflow: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Hub:
    """What GitHub knows of a repository beside its commits."""

    origin: Path
    repository: str = "me/armtorch"
    #: newest first
    pulls: list[dict[str, Any]] = field(default_factory=list)
    #: commit -> statuses, newest first
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    #: what the clock says, ISO 8601
    now: str = "2026-11-22T00:00:00Z"
    asked: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    #: what the token of the job that runs may do
    permissions: Mapping[str, str] = field(default_factory=dict)
    #: path below the repository -> what an administrator set up
    settings: dict[str, Any] = field(default_factory=dict)
    #: when somebody pushed last; "" for now
    pushed: str = ""
    #: whether the settings let workflows open pull requests
    may_propose: bool = True

    def may(self, what: str, level: str = "write") -> bool:
        """Whether the token of the job may do something."""
        return self.permissions.get(what) in {level, "write"}

    def happen(self, kind: str, branch: str, *, by_token: bool = False) -> None:
        """Note an event."""
        self.events.append(Event(kind, branch, by_token))

    @property
    def time(self) -> dt.datetime:
        """The time of the clock."""
        return dt.datetime.fromisoformat(self.now)

    @property
    def schedules_end(self) -> bool:
        """Whether nobody pushed for so long that schedules ended."""
        since = dt.datetime.fromisoformat(self.pushed or self.now)
        return self.time - since >= dt.timedelta(days=rule("quiet_days"))

    def propose(self, head: str, body: str) -> int:
        """Open the pull request of the branch, or refresh the one that is open."""
        assert self.may("contents"), "the job pushes, and its token may not"
        assert self.may("pull-requests"), "the job opens a pull request, and its token may not"
        self.happen("push", "armtorch-release", by_token=True)
        if not self.may_propose:
            msg = "GitHub Actions is not permitted to create or approve pull requests."
            raise RefusedError(msg)
        self.happen("pull_request", "armtorch-release", by_token=True)
        for row in self.pulls:
            if row["state"] == "open":
                row.update(head={"sha": head}, body=body)
                return int(row["number"])
        number = 7 + len(self.pulls)
        row = {"number": number, "state": "open", "head": {"sha": head}, "body": body}
        row |= {"user": {"login": "github-actions[bot]", "type": "Bot"}}
        url = f"https://github.com/{self.repository}/pull/{number}"
        self.pulls.insert(0, {**row, "html_url": url})
        return number

    def close(self) -> None:
        """Do what a person does who does not want it."""
        self.pulls[0]["state"] = "closed"

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Answer a request."""
        self.asked.append(f"{method} {path}")
        below = path.removeprefix(f"/repos/{self.repository}")
        if (found := re.fullmatch(r"/actions/workflows/(\w+)\.yml/dispatches", below)) is not None:
            return self._start(found[1], body)
        if not re.match(r"/pulls|/statuses|/commits/\w+/statuses", below):
            return self._about(below)
        what = "statuses" if "/statuses" in path else "pull-requests"
        if not self.may(what, "read" if method == "GET" else "write"):
            return 403, {"message": "Resource not accessible by integration"}
        if method == "PUT":
            return self._merge(body)
        return self._of_a_release(method, path, body)

    def _of_a_release(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if method == "POST":
            rows = self.statuses.setdefault(path.rpartition("/")[2], [])
            rows.insert(0, {**body, "created_at": self.now})
            return 201, rows[0]
        if (found := re.search(r"/commits/(\w+)/statuses$", path)) is not None:
            return 200, self.statuses.get(found[1], [])
        if (found := re.search(r"/pulls/(\d+)$", path)) is not None:
            return 200, next(row for row in self.pulls if row["number"] == int(found[1]))
        return 200, self.pulls

    def _start(self, name: str, body: Any) -> tuple[int, Any]:
        """Start a workflow, which a token of a workflow may do, too."""
        if not self.may("actions"):
            return 403, {"message": "Resource not accessible by integration"}
        event = Event("workflow_dispatch", body["ref"], by_token=True)
        self.events.append(replace(event, workflow=name, inputs=body["inputs"]))
        return 204, None

    def _about(self, path: str) -> tuple[int, Any]:
        if path in self.settings:
            return 200, self.settings[path]
        if not self.may("contents", "read"):
            return 403, {"message": "Resource not accessible by integration"}
        if path == "":
            return 200, {"private": False, "default_branch": "main"}
        if path == "/commits/main":
            return 200, {"commit": {"committer": {"date": self.pushed or self.now}}}
        if path.startswith("/commits/"):
            return self._tip(path.removeprefix("/commits/"))
        return 403, {"message": "Resource not accessible by integration"}

    def _tip(self, branch: str) -> tuple[int, Any]:
        if not git(self.origin, "branch", "--list", branch):
            return 422, {"message": f"No commit found for SHA: {branch}"}
        date, _, message = git(self.origin, "log", "-1", "--format=%cI %B", branch).partition(" ")
        return 200, {"commit": {"committer": {"date": date}, "message": message}}

    def _merge(self, body: Any) -> tuple[int, Any]:
        assert self.may("contents"), "the job merges, and its token may not"
        head = git(self.origin, "rev-parse", "armtorch-release")
        if self.pulls[0]["state"] != "open":
            return 405, {"message": "Pull Request is not mergeable"}
        if body["sha"] != head:
            return 409, {"message": "Head branch was modified"}
        git(self.origin, "update-ref", "refs/heads/main", head)
        self.happen("push", "main", by_token=True)
        self.pulls[0] |= {"state": "closed", "merged": True, "merge_commit_sha": head}
        self.pulls[0]["merged_at"] = self.now
        return 200, {"sha": head}

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the API, and yield its address."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_ANY(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                sent = json.loads(self.rfile.read(length) or b"null")
                status, found = hub.answer(self.command, self.path, sent)
                body = b"" if found is None else json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_ANY  # noqa: N815 - http.server's names

        with serving(Handler) as url:
            yield url
