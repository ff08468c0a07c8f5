"""Reads what a person has: a command as typed, an environment.yml, or another tool's message."""

from __future__ import annotations

from pathlib import Path

from generator.errors import SelectionError
from generator.explaining.reading_commands import content_of, read_command, read_environment
from generator.explaining.reading_messages import read_message
from generator.explaining.request import Request
from generator.explaining.shell import EXAMPLE, plain, typed

_FILES = {".yml", ".yaml", ".txt", ".log"}


def read_request(text: str, *, folder: Path) -> Request:
    """Read a command, the path of an environment.yml or of a saved message, or a message itself.

    Paths are relative to ``folder``.

    Raises:
        SelectionError: nothing in it asks a conda client for a package.

    """
    stripped = plain(text).strip()
    if not stripped:
        raise SelectionError("nothing to explain", where="the command", next_step=EXAMPLE)
    if "\n" not in stripped and (path := _path(stripped, folder)) is not None:
        content = content_of(path)
        if path.suffix in {".yml", ".yaml"}:
            return read_environment(content, where=str(path))
        stripped = plain(content).strip()
    if "\n" not in stripped:
        found = list(typed(stripped, anywhere=True))
        if found:
            # `conda activate x && conda install y`: what is asked for stands last
            return read_command(found[-1], folder=folder)
        _refuse_other_commands(stripped)
    return read_message(stripped, folder=folder)


def _refuse_other_commands(line: str) -> None:
    """Say what is the matter with a client's command that installs nothing."""
    words = line.lstrip("$ ").split()
    if len(words) > 1 and words[0] in {"conda", "mamba", "micromamba", "pixi"}:
        raise SelectionError(
            "not a command that installs packages with conda, mamba, micromamba or pixi",
            where=line,
            next_step=EXAMPLE,
        )


def _path(text: str, folder: Path) -> Path | None:
    """Return the file that a text names, if it is one.

    Raises:
        SelectionError: it names one that is not there.

    """
    try:
        path = folder / text
        if path.is_file():
            return path
    except (OSError, ValueError):
        return None  # longer than a name can be, or with a zero byte: a command or a message
    if path.suffix in _FILES and " " not in text:
        raise SelectionError("there is no such file", where=str(path), next_step=EXAMPLE)
    return None
