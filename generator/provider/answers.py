"""What hosts of repositories are asked alike, and what their JSON has to hold."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from generator.documents import load_json
from generator.errors import AbsentError, IntegrityError, MalformedError, UnreachableError
from generator.model.names import one_line
from generator.transport import open_session, read_body, typed

_GONE: Final = (404, 410, 422)
#: merging: the head moved, or the rules of the branch forbid it
_REFUSED: Final = (405, 409)
_NO_CONTENT: Final = 204
#: bytes of an answer at most
_LONGEST: Final = 4 << 20
_NEXT: Final = "check the API's address"


@dataclass(frozen=True, kw_only=True)
class PullRequest:
    """A pull request, GitLab's merge request, as far as a release needs it."""

    url: str
    body: str
    #: commit
    head: str
    open: bool
    merged: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How trying a commit ended, in GitHub's words for a status, and when."""

    state: str
    time: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Tip:
    """The newest commit of a branch: what it says, and when it was made."""

    message: str
    time: dt.datetime


class Hub(Protocol):
    """What `armtorch ci look` asks a host."""

    def pull_requests(self, repository: str, branch: str) -> tuple[PullRequest, ...]:
        """Return the newest pull requests of a branch of the repository itself, open or not."""

    def outcome(self, repository: str, commit: str, context: str) -> Outcome | None:
        """Return how trying a commit ended; None where nobody tried."""

    def tip(self, repository: str, branch: str) -> Tip | None:
        """Return the newest commit of a branch; None where there is no such branch."""


def ask(
    method: str, url: str, headers: Mapping[str, str], body: Mapping[str, Any] | None, advice: str
) -> Any:
    """Ask an API, and return its JSON; None where it has nothing to say.

    Raises AbsentError, UnreachableError, MalformedError: it is not there, does not answer, or
    answers something else. IntegrityError: what is to be merged moved, or may not be merged.
    """
    with typed(url), open_session(retries=True) as session:
        answer = session.request(method, url, json=body, headers=dict(headers), stream=True)
        content = read_body(answer, _LONGEST, url)
    said = one_line(content.decode("utf-8", "replace"), 200)
    if answer.status_code in _GONE:
        raise AbsentError(f"{answer.status_code}", where=url, next_step="check the name")
    if answer.status_code in _REFUSED:
        raise IntegrityError(
            f"it is not merged: {said}",
            where=url,
            next_step="look at the pull request: no run of update merges it, as it was tried",
        )
    if not answer.ok:
        raise UnreachableError(f"{answer.status_code}: {said}", where=url, next_step=advice)
    said_all = answer.status_code == _NO_CONTENT
    return None if said_all else load_json(content, url, next_step="try again")


def rows(found: Any, where: str) -> list[dict[str, Any]]:
    """Return a list of objects, or raise MalformedError."""
    if isinstance(found, list) and all(isinstance(row, dict) for row in found):
        return found
    raise MalformedError("it is no list", where=where, next_step=_NEXT)


def field(found: Any, name: str, where: str) -> str:
    """Return a text of an object, or raise MalformedError."""
    if isinstance(found, dict) and isinstance(value := found.get(name), str) and value:
        return value
    raise MalformedError(f"it has no {name}", where=where, next_step=_NEXT)


def time_of(text: str, where: str) -> dt.datetime:
    """Return a time in UTC, or raise MalformedError."""
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except ValueError as error:
        raise MalformedError(f"{text[:80]!r} is no time", where=where, next_step=_NEXT) from error


def commit_of(text: str, where: str) -> str:
    """Return a commit, or raise MalformedError."""
    if re.fullmatch(r"[0-9a-f]{40}", text):
        return text
    raise MalformedError(f"{text[:80]!r} is no commit", where=where, next_step=_NEXT)
