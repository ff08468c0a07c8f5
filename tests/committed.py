"""Keeps tests off the committed feedstock, whose lock and recipes change with every release.

A test that reads them fails where it does so. What must hold for any lock asks for the fixture
`committed`, which lifts this.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
_FILES: Final = tuple(str(ROOT / name) for name in ("feedstock.yaml", "feedstock.lock.yaml"))
_FOLDERS: Final = tuple(str(ROOT / name) for name in ("recipes", ".ci_support"))
_NAMES: Final = ("feedstock", "recipes", ".ci_support")
#: with one of these a command does not read the feedstock of the folder it runs in
_ELSEWHERE: Final = frozenset({"--feedstock", "--help", "--version"})


class _Guard:
    """Hears of every file and process that Python opens (PEP 578)."""

    def __init__(self) -> None:
        self.on = False
        self.lifted = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or self.lifted:
            return
        if event in {"os.listdir", "open"}:
            # os.open, which has no mode, is given names of folders within a folder by rmtree
            self._read(arguments[0], folders=event == "os.listdir" or arguments[1] is not None)
        elif event == "subprocess.Popen":
            self._started([os.fsdecode(each) for each in arguments[1]], arguments[2])

    def _read(self, place: object, *, folders: bool) -> None:
        if not isinstance(place, str | bytes | os.PathLike):
            return
        path = os.fsdecode(place)
        if any(name in path for name in _NAMES):
            path = os.path.abspath(path)  # noqa: PTH100 - Path would be heard of again
            if path in _FILES or (folders and path.startswith(_FOLDERS)):
                raise AssertionError(_message(path))

    def _started(self, command: list[str], folder: object) -> None:
        if command[1:3] == ["-m", "generator"] and not _ELSEWHERE & set(command):
            place = os.fsdecode(folder) if isinstance(folder, str | os.PathLike) else "."
            if os.path.abspath(place) == str(ROOT):  # noqa: PTH100
                raise AssertionError(_message(" ".join(command)))


def _message(what: str) -> str:
    return (
        f"{what}: a test may expect nothing of the committed feedstock; take tests/feedstock "
        "(fixtures project, own, feedstock_copy), or the fixture committed for what holds for any"
    )


_GUARD: Final = _Guard()


def watch() -> None:
    """Begin; a hook of this kind stays for as long as the process lives."""
    if not _GUARD.on:
        _GUARD.on = True
        sys.addaudithook(_GUARD)


@contextmanager
def lifted() -> Iterator[Path]:
    """Let the committed feedstock be read; gives its folder."""
    _GUARD.lifted = True
    try:
        yield ROOT
    finally:
        _GUARD.lifted = False
