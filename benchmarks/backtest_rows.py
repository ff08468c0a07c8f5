"""Leaves out the rows of data files that were written for an event: what the next one will meet.

A row that names versions was written when the first of them was there. At an event it is left out
where that first one is the event's own release or later. Rows for a CUDA line, and for the names
that NVIDIA's wheels have of its major version, were written for the first torch of that line.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from benchmarks.backtest_events import PROJECTS, Event, Upload, pairs

#: packages of a row of licenses.yaml and sonames.yaml -> the project that they are made of
_OF_TORCH: Final = "torch"


@dataclass
class Without:
    """Leaves such rows out of data files: ``without(name, content)``."""

    change: Callable[[str, Any], Any]
    #: rows that are about something which was there at the event. Without one, what is left out is
    #: about the future alone, and an update with and without it is the same
    missed: list[str]

    def __call__(self, name: str, content: Any) -> Any:
        """Return a file's content without the rows."""
        return self.change(name, content)


def without_rows_for(event: Event, found: Iterable[Upload]) -> Without:
    """Return what leaves out the rows that were written for an event or a later one."""
    missed: list[str] = []
    first: dict[tuple[str, Version], dt.datetime] = {}
    for upload in found:
        key = upload.project, upload.version
        first[key] = min(upload.when, first.get(key, upload.when))
    started = min(
        (w for (p, v), w in first.items() if (p, str(v)) == (event.project, event.version))
    )

    def new(project: str, specifier: str) -> bool:
        try:
            wanted = SpecifierSet(specifier, prereleases=True)
        except InvalidSpecifier:
            return False
        days = [when for (p, v), when in first.items() if p == project and v in wanted]
        left_out = bool(specifier) and (not days or min(days) >= started)
        if left_out and days and min(days) <= event.when:
            missed.append(f"{project} {specifier}")
        return left_out

    lines = {line: torch for torch, row in pairs().items() for line in row.get("cuda", [])}

    def unknown(key: str) -> bool:
        """Whether a row of this name is about a CUDA that the event brought, or a later one."""
        torches = [
            torch for line, torch in lines.items()
            if key == line or key.endswith(f"-cu{line.partition('.')[0]}")
        ]  # fmt: skip
        return bool(torches) and all(new("torch", f"=={torch}") for torch in torches)

    def change(_name: str, content: Any) -> Any:
        return _without_keys(_without(content, new, _OF_TORCH), unknown)

    return Without(change, missed)


def _without(node: Any, new: Callable[[str, str], bool], project: str) -> Any:
    """Copy a file's content without the rows that are new; ``project`` is whose versions count."""
    if isinstance(node, dict) and isinstance(read := node.get("read_for"), list):
        # a patch row names the versions whose member was read
        return {**node, "read_for": [v for v in read if not new(project, f"=={v}")]}
    if isinstance(node, list):
        kept = [
            _without(each, new, _project(each, project))
            for each in node
            if not _new(each, new, project)
        ]
        return node if kept == node else kept
    if isinstance(node, dict):
        kept_rows = {
            key: _without(each, new, _project(each, key if key in PROJECTS else project))
            for key, each in node.items()
            if not _new(each, new, project)
        }
        return node if kept_rows == node else kept_rows
    return node


def _without_keys(node: Any, unknown: Callable[[str], bool]) -> Any:
    if isinstance(node, dict):
        kept = {k: _without_keys(v, unknown) for k, v in node.items() if not unknown(str(k))}
        return node if kept == node else kept
    return node


def _project(node: Any, project: str) -> str:
    """Whose versions a row is about: it says so, or stands below a project's name."""
    if isinstance(node, dict) and node.get("project") in PROJECTS:
        return str(node["project"])
    files = node.get("files") if isinstance(node, dict) else None
    if isinstance(files, str):
        top = files.partition("/")[0].partition(".")[0]
        return top if top in PROJECTS else project
    return project


def _new(node: Any, new: Callable[[str, str], bool], project: str) -> bool:
    if not isinstance(node, dict):
        return False
    if isinstance(patch := node.get("patch"), dict) and (read := patch.get("read_for")):
        return all(new(project, f"=={version}") for version in read)
    said = node.get("versions")
    owner = _project(node, project)
    if isinstance(said, list):
        return bool(said) and all(new(owner, f"=={version}") for version in said)
    return isinstance(said, str) and new(owner, said)
