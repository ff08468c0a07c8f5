"""Runs armtorch in a process of its own, for what another client's door was asked."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from generator.documents import load_json
from generator.doors.notes import folder, switch
from generator.errors import MalformedError, StorageError
from generator.printing import write, write_error

_HELP = """\
usage: {door} COMMAND ...

  why [OPTIONS]         explain the last install, create, update or env command
  explain|doctor|coverage ...   as the armtorch command: {door} explain --help
  notes on|off          whether commands are noted for `why` (ARMTORCH_NO_NOTES=1 for one session)
"""


def ask(arguments: Sequence[str], *, door: str) -> int:
    """Run what stands behind ``conda armtorch`` or ``pixi armtorch``; returns the exit code."""
    where = folder(os.environ)
    command, *rest = arguments or ("--help",)
    if command in {"-h", "--help"}:
        write(_HELP.format(door=door), nl=False)
        return 0
    if command == "notes":
        return _switch(where, rest, door)
    if command != "why" or {"-h", "--help"} & {*rest}:
        command = "explain" if command == "why" else command
        return _run([command, *rest], {}, Path.cwd())
    words, variables, place = noted(where)
    if not words:
        write_error(f"no command was noted: run the one that fails, then {door} why")
        return 1
    # an override or subdir is a part of the command; the other variables are its surroundings
    typed = {k: v for k, v in variables.items() if k == "CONDA_SUBDIR" or "OVERRIDE" in k}
    text = " ".join(
        [*(f"{key}={shlex.quote(value)}" for key, value in typed.items()), shlex.join(words)]
    )
    # beside the answer, which --json makes a document
    write(f"$ {text}", err=True)
    there = Path(place) if Path(place).is_dir() else Path.cwd()
    return _run(["explain", text, *rest], variables, there)


def _switch(where: Path, rest: list[str], door: str) -> int:
    if rest not in (["on"], ["off"]):
        write(_HELP.format(door=door), nl=False, err=True)
        return 2
    try:
        switch(where, on=rest == ["on"])
    except OSError as error:
        write_error(f"notes are as they were: {error.strerror} ({error.filename})")
        return StorageError.exit_code
    return 0


def noted(where: Path) -> tuple[list[str], dict[str, str], str]:
    """Return the words, variables and folder of the last command; [] for none."""
    path = where / "last-command.json"
    try:
        found = load_json(path.read_bytes(), str(path))
        return list(found["words"]), dict(found["variables"]), str(found["folder"])
    except (OSError, MalformedError, KeyError, TypeError, ValueError):
        return [], {}, ""


def _run(arguments: Sequence[str], variables: dict[str, str], there: Path) -> int:
    environment = {**os.environ, **variables}
    return subprocess.call(
        [sys.executable, "-m", "generator", *arguments], cwd=there, env=environment
    )
