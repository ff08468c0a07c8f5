"""The readers of packages and wheels on what nobody sane would write, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from tests.counts import count
from tests.nasty_archives import FOLDER

#: MiB of the whole process, the imports among them
MEMORY = 300


def test_mutated_archives_are_read_or_refused_in_time_and_memory() -> None:
    assert len(list(FOLDER.iterdir())) > 20
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 100_000
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz_archives", str(count("archives"))],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert int(done.stdout) < MEMORY
