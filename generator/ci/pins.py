"""``pins``: the actions that workflows use, against their newest releases."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.version import Version

from generator.atomic import write_text
from generator.datafiles import DATA
from generator.errors import DataError
from generator.provider.github import GitHub
from generator.rendering import PINS_FILE, ActionPin, action_pins


@dataclass(frozen=True, kw_only=True)
class PinChange:
    """An action whose pin is not its newest release."""

    now: ActionPin
    newest: ActionPin

    @property
    def moved(self) -> bool:
        """Whether the pinned tag stands for another commit, as in an action taken over."""
        return self.now.tag == self.newest.tag


def outdated(hub: GitHub) -> tuple[PinChange, ...]:
    """Ask for the newest release of every pinned action.

    A release that is older than the pinned one, as a late fix of an old line is, is none.

    Raises:
        AbsentError, UnreachableError, MalformedError: as `GitHub` does.
        DataError: an action's newest release has a tag that is no version.

    """
    found = []
    for pin in action_pins().actions:
        known = replace(pin, commit=hub.commit_of(pin.name, pin.tag))
        if known != pin:
            found.append(PinChange(now=pin, newest=known))
            continue
        tag = hub.newest_release(pin.name)
        if not re.fullmatch(r"v\d+(\.\d+)*", tag):
            raise DataError(
                f"its newest release is called {tag!r}, which is no version",
                where=pin.name,
                next_step=f"look at it and pin it by hand in {PINS_FILE}",
            )
        if Version(tag) > Version(pin.tag):
            newest = ActionPin(name=pin.name, tag=tag, commit=hub.commit_of(pin.name, tag))
            found.append(PinChange(now=pin, newest=newest))
    return tuple(found)


def pins_diff(changes: tuple[PinChange, ...], path: Path = DATA / PINS_FILE) -> tuple[str, str]:
    """Return the data file with the changes in it, and the diff to it as it is."""
    before = path.read_text(encoding="utf-8")
    after = before
    for change in changes:
        old, new = _row(change.now), _row(change.newest)
        if old not in after:
            raise DataError(
                f"has no row of the form {old}",
                where=str(path),
                next_step="write the row on one line: name, tag, commit",
            )
        after = after.replace(old, new)
    diff = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        f"a/{path.name}",
        f"b/{path.name}",
    )
    return after, "".join(diff)


def write_pins(text: str, path: Path = DATA / PINS_FILE) -> None:
    """Replace the data file; raises StorageError."""
    write_text(path, text)


def _row(pin: ActionPin) -> str:
    return f"{{name: {pin.name}, tag: {pin.tag}, commit: {pin.commit}}}"
