"""The last install that a client was asked for, noted so that nothing has to be typed again.

conda imports this at each of its starts: nothing but what Python has in memory then anyway.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from generator.urls import masked

#: turns noting off for one command or one session
OFF = "ARMTORCH_NO_NOTES"
#: variables that a client's answer depends on
_VARIABLES = ("CONDA_SUBDIR", "CONDA_CHANNELS", "CONDA_CHANNEL_ALIAS", "CONDA_CHANNEL_PRIORITY")

#: of a channel, which needs no scheme to conda: ``user:password@host/...``, ``.../t/TOKEN/...``
_BARE = (
    (re.compile(r"(^|[=,])[^/@\s:=,]+:[^/\s]+@(?=[^/@\s]+/)"), r"\1***@"),
    (re.compile(r"((?:^|[=,/])t/)[^/\s]+(?=/)"), r"\1***"),
)


def folder(environment: Mapping[str, str]) -> Path:
    """Return where notes lie: the user's cache folder (XDG base directories; macOS; Windows)."""
    home = Path(environment.get("HOME") or environment.get("USERPROFILE") or ".")
    if sys.platform == "win32":
        base = Path(environment.get("LOCALAPPDATA") or home / "AppData/Local")
    elif sys.platform == "darwin":
        base = home / "Library/Caches"
    else:
        base = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "armtorch"


def note(arguments: Sequence[str], environment: Mapping[str, str], where: Path) -> None:
    """Note a command, without the passwords and tokens of its addresses.

    What cannot be written is not noted: it is nothing that a person's install should fail for.
    """
    if environment.get(OFF):
        return
    variables = {
        key: _without_secrets(value)
        for key, value in environment.items()
        if key in _VARIABLES or key.startswith("CONDA_OVERRIDE_")
    }
    words = [_without_secrets(each) for each in arguments]
    path = where / "last-command.json"
    try:
        if (where / "notes-off").exists():
            return
        text = json.dumps({"words": words, "variables": variables, "folder": str(Path.cwd())})
        where.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError:
        return


def _without_secrets(word: str) -> str:
    word = masked(word)
    if not word.startswith(("/", ".", "~")) and "://" not in word:
        for pattern, hidden in _BARE:
            word = pattern.sub(hidden, word)
    return word


def switch(where: Path, *, on: bool) -> None:
    """Turn noting on, or off with what was noted taken away; raises OSError."""
    mark = where / "notes-off"
    if on:
        mark.unlink(missing_ok=True)
        return
    where.mkdir(parents=True, exist_ok=True)
    mark.touch()
    (where / "last-command.json").unlink(missing_ok=True)
