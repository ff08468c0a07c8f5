"""The lines of a script that run on a machine: of branches those for its system."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from generator.explaining.facts import facts, pattern


@dataclass
class _Branch:
    """One ``if`` or ``case`` that is open: whether its lines run, and whether one of it did."""

    runs: bool
    done: bool
    #: what a ``case`` is about, "" for an ``if``
    case: str = ""

    def enter(self, holds: bool | None) -> None:
        self.runs = not self.done and holds is not False
        self.done = self.done or holds is True


def running(lines: Iterable[str], subdir: str) -> Iterator[str]:
    """Yield a script's lines without the branches that are for other systems than a subdir's.

    A condition about anything else holds and does not: both its branches are yielded.
    """
    branches: list[_Branch] = []
    parts = [
        part
        for line in lines
        for part in (pattern("parts").split(line) if pattern("one_line").match(line) else [line])
    ]
    for line in _bodies_last(parts):
        left = _taken(line, branches, subdir)
        if left and all(each.runs for each in branches):
            yield left


def _taken(line: str, branches: list[_Branch], subdir: str) -> str:
    """Note what a line opens and closes, and return what else it says."""
    word = line.strip().rstrip(";")
    if (match := pattern("if").match(line)) and (match["how"] == "if" or branches):
        if match["how"] == "if":
            branches.append(_Branch(runs=True, done=False))
        branches[-1].enter(_holds(match["what"], subdir))
    elif match := re.match(r"^\s*case\s+(?P<what>.+?)\s+in\s*$", line):
        branches.append(_Branch(runs=True, done=False, case=match["what"]))
    elif word in {"fi", "esac"} and branches:
        branches.pop()
    elif word == "else" and branches:
        branches[-1].enter(None)
    elif branches and branches[-1].case and (match := pattern("label").match(line)):
        labels = match["labels"].replace("|", " ")
        about = f"{branches[-1].case} {labels}"
        branches[-1].enter(None if labels == "*" else _holds(about, subdir))
        return match["line"] or ""
    elif match := pattern("short").match(line):
        holds = _holds(match["what"], subdir)
        runs = holds is None or holds is (match["how"] == "&&")
        return match["line"] if runs else ""
    else:
        return line
    return ""


def _holds(condition: str, subdir: str) -> bool | None:
    """Whether a condition holds on a subdir's machines; None for what is about anything else."""
    found = []
    for alternative in re.split(r"\|\||\s-o\s", condition):
        parts = [_part(part, subdir) for part in re.split(r"&&|\s-a\s", alternative)]
        found.append(False if False in parts else None if None in parts else True)
    return True if True in found else None if None in found else False


def _part(condition: str, subdir: str) -> bool | None:
    systems, text = facts().systems, condition.lower()
    known = {name for names in systems.values() for name in names}
    words = set(re.findall(r"[a-z0-9_]+(?:[-/][a-z0-9_]+)*", text)) & known
    if not words or subdir not in systems or not pattern("asks").search(text):
        return None
    denied = "!=" in text or text.lstrip(" [(").startswith("!")
    return bool(words & set(systems[subdir])) is not denied


def _bodies_last(lines: Iterable[str]) -> list[str]:
    """Put the bodies of functions behind all other lines: most are called when those are done."""
    plain: list[str] = []
    bodies: list[str] = []
    end = ""
    for line in lines:
        if not end and (match := pattern("function").match(line)):
            end = f"{match['indent']}}}"
        elif line == end:
            end = ""
        else:
            (bodies if end else plain).append(line)
    return plain + bodies
