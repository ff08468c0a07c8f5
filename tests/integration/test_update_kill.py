"""`armtorch update` killed at any moment: no half file, and the next run goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generator.lock import lock_text, read_lock, write_lock
from generator.model import Lock
from tests.counts import count
from tests.index_server import IndexServer
from tests.integration.updating import run_update, upstream_of_2026

pytestmark = pytest.mark.integration

UPDATER = """
import sys
from pathlib import Path
from generator.lock import read_lock, write_lock
from tests.integration.updating import run_update
cache, lock, url = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
print("ready", flush=True)
outcome = run_update(None, cache, old=read_lock(lock), urls={"pip": url})
write_lock(outcome.lock, lock)
"""


def test_kill_9_at_any_moment_and_the_next_run_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    upstream_of_2026(folder)
    path, chance = tmp_path / "feedstock.lock.yaml", random.Random(5)
    repository = Path(__file__).parents[2]
    with IndexServer(folder) as server:
        wanted = lock_text(run_update(server, tmp_path / "other").lock)
        for _ in range(count("kills")):
            command = [sys.executable, "-c", UPDATER, str(tmp_path), str(path), server.url]
            with subprocess.Popen(
                command,
                cwd=repository,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(repository)},
            ) as updater:
                assert updater.stdout is not None
                updater.stdout.readline()
                time.sleep(chance.uniform(0, 1.0))
                updater.send_signal(signal.SIGKILL)
            assert read_lock(path) == Lock() or path.read_text() == wanted
        outcome = run_update(server, tmp_path, old=read_lock(path))
    write_lock(outcome.lock, path)
    assert path.read_text() == wanted
