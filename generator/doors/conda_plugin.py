"""The plugin of conda: ``conda armtorch ...``, and the hook that notes what was asked for.

conda docs, "Plugins": conda_subcommands and conda_pre_commands. conda imports this module at each
start, so that it imports nothing that is not in memory anyway.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from conda import plugins

from generator.doors import notes

_NOTED = {"install", "create", "update", "upgrade", "env_create", "env_update"}


def _note(_command: str) -> None:
    notes.note(["conda", *sys.argv[1:]], os.environ, notes.folder(os.environ))


def _ask(arguments: tuple[str, ...]) -> int:
    from generator.doors.asking import ask  # noqa: PLC0415 - conda's other commands do without it

    # explain looks for the installation whose configuration counts
    os.environ.setdefault("CONDA_ROOT", sys.prefix)
    return ask(arguments, door="conda armtorch")


@plugins.hookimpl
def conda_subcommands() -> Iterator[Any]:
    """Add ``conda armtorch``."""
    yield plugins.types.CondaSubcommand(
        name="armtorch",
        summary="Say why an install fails on ARM, and which command works.",
        action=_ask,
    )


@plugins.hookimpl
def conda_pre_commands() -> Iterator[Any]:
    """Note what ``conda armtorch why`` is about."""
    yield plugins.types.CondaPreCommand(name="armtorch-notes", action=_note, run_for=_NOTED)
