"""What CI knows of a release between its runs: whether it was proposed, tried, or closed.

It lies in one place, the pull request of the release. Its text ends with a mark that says what
the release is made of; the status ``armtorch`` of its head says how trying it ended; a person who
closes it has said no. Its commit has the mark, too: where the host lets a workflow push and open no
pull request, that is all there is. So a release is tried again when something it is made of
changed, and else never, but where a machine or a setting failed it: after some days. Who wants it
sooner starts the workflow by hand.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass, replace
from typing import Final

from generator.ci.releasing import look
from generator.lock import Announcement, lock_text
from generator.model import Lock
from generator.project import Project
from generator.provider.answers import Hub, PullRequest
from generator.rendering import workflow_settings
from generator.updating.recorded_judge import code_digest

_MARK: Final = re.compile(r"armtorch, made of: ([0-9a-f]{64})\b")
_PART: Final = ", in part"
#: a day that is none of the lock's, since the day it is looked at on changes nothing
_ANY_DAY: Final = "2000-01-01"


@dataclass(frozen=True, kw_only=True)
class Looked:
    """Upstream's news, and whether they are to be tried."""

    announcement: Announcement
    #: digest of what the release is made of
    made: str
    #: why it is not tried; "" where it is
    reason: str

    @property
    def wanted(self) -> bool:
        """Whether it is to be tried now."""
        return self.announcement.changed and not self.reason


def made_of(lock: Lock) -> str:
    """Return a digest of what a release is made of: the lock but for its days, and armtorch."""
    cells = [
        replace(cell, held=tuple(replace(row, since=_ANY_DAY) for row in cell.held))
        for cell in lock.cells
    ]
    held = tuple(replace(row, since=_ANY_DAY) for row in lock.held)
    text = lock_text(replace(lock, cells=tuple(cells), held=held))
    return hashlib.sha256(f"{code_digest()}\n{text}".encode()).hexdigest()


def marked(text: str, made: str, *, in_part: bool = False) -> str:
    """Return a pull request's text with the mark; without one where there is nothing to mark.

    ``in_part``: cells of it are put back, and news again once the rest is merged.
    """
    return f"{text}\n<!-- {mark(made)}{_PART if in_part else ''} -->\n" if made else text


def tells_of(known: PullRequest, made: str) -> bool:
    """Whether a pull request is of a release, and it is not merged what was put back of that."""
    found = made in _MARK.findall(known.body)
    return found and not (known.merged and f"{made}{_PART}" in known.body)


def mark(made: str) -> str:
    """Return the mark of what a release is made of."""
    return f"armtorch, made of: {made}"


def mark_in(text: str) -> str:
    """Return the mark's digest of a pull request's text; "" where it has none."""
    found = _MARK.search(text)
    return found[1] if found else ""


def look_for_news(
    project: Project,
    hub: Hub,
    repository: str,
    *,
    again: bool = False,
    now: dt.datetime | None = None,
) -> Looked:
    """Ask upstream for news, and the pull requests whether they were tried already.

    ``repository`` is ``owner/name``; with ``again`` it is tried whatever was tried.
    Raises AbsentError, UnreachableError, MalformedError: GitHub does not answer, or not usefully.
    IntegrityError, RenderError, LockError, FeedstockError: as ``release`` does.
    """
    found = look(project)
    made, reason = made_of(found.lock), ""
    if found.announcement.changed and not again:
        now = now or dt.datetime.now(dt.UTC)
        known = hub.pull_requests(repository, workflow_settings().branch)
        same = [each for each in known if tells_of(each, made)]
        if same:
            reason = _reason(hub, repository, same[0], now)
        else:
            reason = _left_behind(hub, repository, made, now)
    return Looked(announcement=found.announcement, made=made, reason=reason)


def _reason(hub: Hub, repository: str, known: PullRequest, now: dt.datetime) -> str:
    """Say why a release that was proposed is not tried now, "" where it is."""
    if not known.open:
        return f"{known.url} was closed: it is not proposed again as it is"
    outcome = hub.outcome(repository, known.head, workflow_settings().check)
    if outcome is None:
        return ""
    if outcome.state == "success":
        return f"it was tried and passed, and waits for a person: {known.url}"
    if _is_long_ago(outcome.time, now):
        return ""
    return f"it was tried ({outcome.state}) and is again after {_days()} days: {known.url}"


def _left_behind(hub: Hub, repository: str, made: str, now: dt.datetime) -> str:
    """Say why a release that was pushed and not proposed is not tried now, "" where it is."""
    branch = workflow_settings().branch
    tip = hub.tip(repository, branch)
    if tip is None or made not in _MARK.findall(tip.message) or _is_long_ago(tip.time, now):
        return ""
    return (
        f"{branch} has it and no pull request was opened, which is tried again after {_days()} "
        "days: Settings, Actions, General, allow workflows to create pull requests"
    )


def _days() -> int:
    return workflow_settings().again_after_days


def _is_long_ago(time: dt.datetime, now: dt.datetime) -> bool:
    return now - time >= dt.timedelta(days=_days())
