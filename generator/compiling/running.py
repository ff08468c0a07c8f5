"""Runs the programs that this room needs of the machine, and says which one is missing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from generator.errors import BuildError, MissingToolError

#: lines of a program's last words that a message repeats
_LAST = 12


def run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Run a program to its end and return what it printed.

    Raises MissingToolError: it is not there. Raises BuildError: it failed.
    """
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
            cwd=cwd,
            umask=0o022,  # modes of files go into wheels
            check=True,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise MissingToolError(
            f"{command[0]} is not on this machine",
            where="armtorch compile",
            next_step="compile on Debian or Ubuntu: apt, dpkg-deb and util-linux are needed",
        ) from error
    except subprocess.CalledProcessError as error:
        said = "\n".join((error.stderr or error.stdout).strip().splitlines()[-_LAST:])
        raise BuildError(
            f"{' '.join(command[:6])} failed:\n{said}",
            where="armtorch compile",
            next_step="mend what it says and run the same command again",
        ) from error
    return done.stdout
