"""The machine that a step runs on: whose it is, and what is in its environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.replayed_actions import Desk
from tests.replayed_rules import rule


@cache
def other_user() -> tuple[str, ...]:
    """Return what starts a step as another user than root, where the tests run as root.

    In a namespace of its own root has a runner's number and none of root's rights, and what it
    makes is root's outside. Empty where it is not needed, or the kernel lets nobody make one.
    """
    number = rule("not_root")
    other = ("unshare", "--user", f"--map-user={number}", f"--map-group={number}", "--")
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return ()
    made = subprocess.run([*other, "true"], capture_output=True, check=False)
    return other if made.returncode == 0 else ()


def variables(desk: Desk) -> dict[str, str]:
    """Return the environment that every step has."""
    programs = Path(sys.executable).parent
    return {
        **rule("default_variables"),
        "HOME": str(desk.home),
        "PATH": f"{programs}{os.pathsep}{rule('image_path')}",
        "RUNNER_TEMP": str(desk.temporary),
        "PYTHONPATH": str(desk.clone),
    }


def run(
    command: str, desk: Desk, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command as GitHub's `shell: bash` does."""
    return subprocess.run(
        [*other_user(), "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
        cwd=desk.clone,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
