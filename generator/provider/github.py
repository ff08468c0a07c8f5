"""What armtorch says to GitHub: a workflow's outputs, and a few calls of its API.

Source: docs.github.com/actions (workflow commands, contexts) and docs.github.com/rest.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

from generator.errors import AbsentError, IntegrityError, MalformedError, UnreachableError
from generator.printing import append
from generator.provider.answers import (
    Outcome,
    PullRequest,
    Tip,
    ask,
    commit_of,
    field,
    rows,
    time_of,
)

API: Final = "https://api.github.com"
#: seconds between tries to merge; 0 is the last one
_PAUSES: Final = (5, 30, 0)
#: GitHub's words for who may write to a repository (docs.github.com, CommentAuthorAssociation)
_WRITERS: Final = ("OWNER", "MEMBER", "COLLABORATOR")


def write_outputs(path: Path | None, values: Mapping[str, str]) -> None:
    """Append a step's outputs to the file that ``GITHUB_OUTPUT`` names; None: nobody asks for them.

    A value of several lines goes between two lines that nobody can guess, so that no text from
    upstream can end it and set another output.
    """
    if path is None:
        return
    with path.open("a", encoding="utf-8", newline="\n") as file:
        for key, value in values.items():
            mark = f"armtorch-{secrets.token_hex(16)}"
            file.write(f"{key}<<{mark}\n{value}\n{mark}\n")


def write_summary(path: Path | None, text: str) -> None:
    """Append Markdown to the file that ``GITHUB_STEP_SUMMARY`` names; None: nobody asks for it."""
    if path is not None:
        append(path, text.rstrip("\n") + "\n\n")


def has_identity(environment: Mapping[str, str]) -> bool:
    """Whether GitHub vouches for this job to others (OIDC): it has `id-token: write`."""
    return bool(environment.get("ACTIONS_ID_TOKEN_REQUEST_URL"))


#: of a commit; GitHub's words
State = Literal["pending", "success", "failure", "error"]


@dataclass(frozen=True, kw_only=True)
class GitHub:
    """The API; without a token it answers 60 times an hour."""

    url: str = API
    token: str = ""

    def merge(self, repository: str, number: int, commit: str) -> str:
        """Merge a pull request whose head is still ``commit``, and return the new commit.

        By a merge, not a squash: packages that were tried state ``commit`` as what they came with.
        Where it is merged already, as in a run whose answer was lost, that is the answer. What does
        not answer, or refuses while main moves, is asked again: no later run would.
        Raises IntegrityError: its head is another commit, or it may not be merged. AbsentError,
        UnreachableError, MalformedError: it is not there, does not answer, or answers something
        else.
        """
        path = f"/repos/{repository}/pulls/{number}"
        where = self.url + path
        body = {"sha": commit, "merge_method": "merge"}
        for pause in _PAUSES:
            try:
                found = self._asked("PUT", f"{path}/merge", body)
                return commit_of(field(found, "sha", where), where)
            except (IntegrityError, UnreachableError):
                known = self._asked("GET", path)
                if _is_merged(known, commit):
                    break
                if not pause:
                    raise
                time.sleep(pause)
        return commit_of(field(known, "merge_commit_sha", where), where)

    def pull_requests(self, repository: str, branch: str) -> tuple[PullRequest, ...]:
        """Return the newest pull requests of a branch of the repository itself, open or not.

        Without those of strangers: whoever can read a repository can propose a branch of it, with
        a text of theirs, and close that again.
        """
        owner = repository.partition("/")[0]
        head = quote(f"{owner}:{branch}", safe="")
        path = f"/repos/{repository}/pulls?head={head}&state=all&sort=created&direction=desc"
        where = f"{self.url}{path}"
        return tuple(
            PullRequest(
                url=field(row, "html_url", where),
                body=str(row.get("body") or ""),
                head=commit_of(field(row.get("head"), "sha", where), where),
                open=field(row, "state", where) == "open",
                merged=bool(row.get("merged_at")),
            )
            for row in rows(self._asked("GET", path), where)
            if _is_own(row)
        )

    def outcome(self, repository: str, commit: str, context: str) -> Outcome | None:
        """Return the newest status of a commit that has this name; None where it has none."""
        path = f"/repos/{repository}/commits/{commit}/statuses"
        where = f"{self.url}{path}"
        for row in rows(self._asked("GET", path), where):  # newest first
            if row.get("context") == context:
                time = field(row, "created_at", where)
                return Outcome(state=field(row, "state", where), time=time_of(time, where))
        return None

    def tip(self, repository: str, branch: str) -> Tip | None:
        """Return the newest commit of a branch; None where there is no such branch."""
        path = f"/repos/{repository}/commits/{quote(branch, safe='')}"
        try:
            found = self._asked("GET", path)["commit"]
            time = field(found["committer"], "date", path)
        except AbsentError:
            return None
        except (KeyError, TypeError) as error:
            raise MalformedError("it is no commit", where=path, next_step="try again") from error
        return Tip(message=field(found, "message", path), time=time_of(time, path))

    def tell(
        self, repository: str, commit: str, context: str, state: State, *, said: str, run: str
    ) -> None:
        """Give a commit a status; ``run`` is the address of what it is about."""
        body = {"state": state, "context": context, "description": said[:140]}
        path = f"/repos/{repository}/statuses/{commit}"
        self._asked("POST", path, body | ({"target_url": run} if run else {}))

    def start(self, repository: str, workflow: str, branch: str, inputs: Mapping[str, str]) -> None:
        """Start a workflow of a branch, as a workflow's token may. Raises as `merge` does.

        Source: docs.github.com/rest/actions/workflows, "Create a workflow dispatch event".
        """
        path = f"/repos/{repository}/actions/workflows/{workflow}/dispatches"
        self._asked("POST", path, {"ref": branch, "inputs": dict(inputs)})

    def get(self, path: str) -> Any:
        """Return what a path of the API holds. Raises as `merge` does."""
        return self._asked("GET", path)

    def _asked(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        url = self.url + path
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        advice = "try again later; GITHUB_TOKEN raises the limit of requests"
        return ask(method, url, headers, body, advice)


def _is_merged(found: Any, commit: str) -> bool:
    """Whether a pull request is merged, as it was when its head was ``commit``."""
    head = found.get("head") if isinstance(found, dict) and found.get("merged") is True else None
    return isinstance(head, dict) and head.get("sha") == commit


def _is_own(row: Mapping[str, Any]) -> bool:
    """Whether a pull request is a workflow's, or of somebody who may write to the repository.

    A bot may open one where it was installed, and only there.
    """
    user = row.get("user")
    bot = isinstance(user, dict) and user.get("type") == "Bot"
    return bot or row.get("author_association") in _WRITERS
