"""GitHub's API, as far as the workflows ask it: pull requests, statuses, and merging."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.replayed_actions import git


@dataclass
class Hub:
    """What GitHub knows of a repository beside its commits."""

    origin: Path
    #: newest first
    pulls: list[dict[str, Any]] = field(default_factory=list)
    #: commit -> statuses, newest first
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    #: what the clock says, ISO 8601
    now: str = "2026-11-22T00:00:00Z"
    asked: list[str] = field(default_factory=list)
    #: what the token of the job that runs may do
    permissions: Mapping[str, str] = field(default_factory=dict)

    def may(self, what: str, level: str = "write") -> bool:
        """Whether the token of the job may do something."""
        return self.permissions.get(what) in {level, "write"}

    def propose(self, head: str, body: str) -> int:
        """Open the pull request of the branch, or refresh the one that is open."""
        assert self.may("contents"), "the job pushes, and its token may not"
        assert self.may("pull-requests"), "the job opens a pull request, and its token may not"
        for row in self.pulls:
            if row["state"] == "open":
                row.update(head={"sha": head}, body=body)
                return int(row["number"])
        number = 7 + len(self.pulls)
        row = {"number": number, "state": "open", "head": {"sha": head}, "body": body}
        row |= {"user": {"login": "github-actions[bot]", "type": "Bot"}}
        self.pulls.insert(0, {**row, "html_url": f"https://github.com/me/armtorch/pull/{number}"})
        return number

    def close(self) -> None:
        """Do what a person does who does not want it."""
        self.pulls[0]["state"] = "closed"

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Answer a request."""
        self.asked.append(f"{method} {path}")
        what = "statuses" if "/statuses" in path else "pull-requests"
        if not self.may(what, "read" if method == "GET" else "write"):
            return 403, {"message": "Resource not accessible by integration"}
        if method == "PUT":
            assert self.may("contents"), "the job merges, and its token may not"
            head = git(self.origin, "rev-parse", "armtorch-release")
            if body["sha"] != head:
                return 409, {"message": "Head branch was modified"}
            git(self.origin, "update-ref", "refs/heads/main", head)
            self.close()
            return 200, {"sha": head}
        if method == "POST":
            rows = self.statuses.setdefault(path.rpartition("/")[2], [])
            rows.insert(0, {**body, "created_at": self.now})
            return 201, rows[0]
        if (found := re.search(r"/commits/(\w+)/statuses$", path)) is not None:
            return 200, self.statuses.get(found[1], [])
        return 200, self.pulls

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the API, and yield its address."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

            def do_ANY(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                sent = json.loads(self.rfile.read(length) or b"null")
                status, found = hub.answer(self.command, self.path, sent)
                body = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_ANY  # noqa: N815 - http.server's names

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()
