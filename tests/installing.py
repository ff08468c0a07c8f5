"""pip for tests, with more patience than it has itself."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

#: seconds before another try; a pip older than 25.1 gives a download up where it breaks off
PAUSES = (5, 30, 120)


def pip(python: Path | str, *arguments: str, environment: dict[str, str] | None = None) -> None:
    """Run pip; whatever it fails of may be the network, and is tried again."""
    command = [str(python), "-m", "pip", *arguments]
    for pause in (*PAUSES, None):
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        if done.returncode == 0:
            return
        assert pause is not None, done.stderr
        time.sleep(pause)
