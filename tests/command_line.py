"""The command as a person starts it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.own_feedstock import FOLDER

ROOT = Path(__file__).parents[1]


def armtorch(
    *arguments: object, cwd: Path = FOLDER, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run this checkout's ``armtorch`` and return what it wrote and its exit code.

    The folder it runs in, unless told otherwise, has the tests' own feedstock and its lock, and
    nothing rendered from them.
    """
    return subprocess.run(
        [sys.executable, "-m", "generator", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**(os.environ if env is None else env), "PYTHONPATH": str(ROOT)},
    )
