"""`armtorch render` killed at any moment: every file is whole, and the next run goes on."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import own_feedstock
from tests.counts import count

pytestmark = pytest.mark.integration

RENDER = [sys.executable, "-m", "generator", "-q", "render"]
FOLDERS = ("recipes", ".ci_support")


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in FOLDERS
        for path in (root / folder).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def spoil(root, names):
    """Make every file stale and put a stray beside each recipe."""
    for name in names:
        (root / name).write_bytes(b"old\n")
    for recipe in filter(Path.is_dir, (root / "recipes").glob("*/*")):
        (recipe / "stray.txt").write_text("stray\n")


def test_kill_9_at_any_moment_leaves_whole_files_and_the_next_run_goes_on(tmp_path):
    own_feedstock.write(tmp_path)
    right = contents(tmp_path)
    spoil(tmp_path, right)
    started = time.monotonic()
    subprocess.run(RENDER, cwd=tmp_path, check=True, capture_output=True)
    whole = time.monotonic() - started
    assert contents(tmp_path) == right

    chance, unfinished = random.Random(20261122), 0
    for _ in range(count("kills")):
        spoil(tmp_path, right)
        started = time.monotonic()
        with subprocess.Popen(RENDER, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
            try:
                # the second half of a run is where files are written
                process.wait(whole * chance.uniform(0.4, 1.0))
            except subprocess.TimeoutExpired:
                process.kill()
            else:  # the machine has more to give now than it had when a run was measured
                whole = time.monotonic() - started
        found = contents(tmp_path)
        for name, content in right.items():
            assert found[name] in (b"old\n", content), f"{name} is neither old nor new"
        unfinished += found != right
    assert unfinished, "no run was killed before it was done"
    subprocess.run(RENDER, cwd=tmp_path, check=True, capture_output=True)
    assert contents(tmp_path) == right
