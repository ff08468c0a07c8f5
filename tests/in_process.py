"""Subcommands of armtorch in this process, over an index on this machine."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import click

from generator.commands import cli
from generator.console import Silent
from generator.errors import ArmtorchError
from generator.lock import read_lock
from generator.model import Lock
from generator.project import Project
from generator.upstream import PipConfiguration, reaching


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a command ended."""

    #: of the process that a person would have started
    exit_code: int
    output: str
    #: the family's error that ended it
    error: ArmtorchError | None = None
    #: the traceback of anything else: a crash
    crash: str = ""

    @property
    def said(self) -> Mapping[str, Any]:
        """What it printed with ``--json``; empty when it did not come to that."""
        try:
            found = json.loads(self.output)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


@dataclass
class Heard(Silent):
    """A narrator that remembers what it was told to warn of."""

    warned: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        self.warned.append(text)


def project_at(folder: Path, url: str, cache: Path) -> Project:
    """A project in ``folder`` whose pip is configured to use the index at ``url``."""
    environment = {
        "PATH": os.environ["PATH"], "PIP_INDEX_URL": url, "PIP_CONFIG_FILE": os.devnull
    }  # fmt: skip
    return Project(
        feedstock=folder / "feedstock.yaml",
        narrator=Heard(),
        environment=environment,
        cache=cache,
    )


def run(project: Project, *arguments: str) -> Ran:
    """Run one subcommand of armtorch in this process and tell how a process would have ended."""
    command = cli.get_command(click.Context(cli), arguments[0])
    assert command is not None
    out = io.StringIO()
    quiet = contextlib.redirect_stderr(io.StringIO())
    with asked_once(project), contextlib.redirect_stdout(out), quiet:
        code, error, crash = _end(command, project, arguments[1:])
    return Ran(exit_code=code, output=out.getvalue(), error=error, crash=crash)


def _end(
    command: click.Command, project: Project, arguments: tuple[str, ...]
) -> tuple[int, ArmtorchError | None, str]:
    try:
        command.main([*arguments], standalone_mode=False, obj=project, prog_name="armtorch")
    except SystemExit as left:
        return (left.code if isinstance(left.code, int) else 1), None, ""
    except ArmtorchError as error:
        return error.exit_code, error, ""
    except Exception:  # noqa: BLE001 - whatever it is, it is what these tests look for
        return 1, None, "".join(traceback.format_exception(*sys.exc_info())[-3:])
    return 0, None, ""


@contextlib.contextmanager
def asked_once(project: Project) -> Iterator[None]:
    """Spare each run the process that asks pip for its configuration, which is known here."""
    pip = PipConfiguration(indexes=(project.environment["PIP_INDEX_URL"],))
    with mock.patch.object(reaching, "read_pip_configuration", return_value=pip):
        yield


def lock_of(project: Project) -> Lock:
    """Return the lock as it is now, an empty one where there is none."""
    return read_lock(project.lock)
