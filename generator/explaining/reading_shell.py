"""The lines of a script that run on a machine: branches for its system, functions where called."""

from __future__ import annotations

import re
import shlex
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
    for line in _called(parts):
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


def _called(lines: list[str]) -> Iterator[str]:
    """Yield lines with the bodies of functions where they are called; of others at the end."""
    bodies: dict[str, list[str]] = {}
    plain: list[str] = []
    while lines:
        line = lines.pop(0)
        if (match := pattern("function").match(line)) and f"{match['indent']}}}" in lines:
            end = lines.index(f"{match['indent']}}}")
            bodies[match["name"] or match["other"]] = lines[:end]
            del lines[: end + 1]
        else:
            plain.append(line)
    used: set[str] = set()
    yield from _inlined(plain, bodies, used, ())
    for name in [each for each in bodies if each not in used]:
        yield from _inlined(bodies[name], bodies, used, (name,))


def _inlined(
    lines: Iterable[str], bodies: dict[str, list[str]], used: set[str], inside: tuple[str, ...]
) -> Iterator[str]:
    for line in lines:
        match = re.match(r"\s*(?P<name>[\w.-]+)(?P<words>(?:\s.*)?)$", line)
        name = match["name"] if match else ""
        if match is None or name not in bodies or name in inside:
            yield line
            continue
        used.add(name)
        try:
            words = shlex.split(match["words"])
        except ValueError:
            words = []
        body = "\n".join(bodies[name])
        for number, word in enumerate(words, start=1):
            body = body.replace(f"${number}", word).replace(f"${{{number}}}", word)
        yield from _inlined(body.splitlines(), bodies, used, (*inside, name))
