"""A fork's three edits (channel, maintainers, pythons) leave what its own CI runs as it was.

Every other test is kept off the committed feedstock (tests/committed.py), so `make test` runs here
what that lets through; `make prove` runs all of the unit tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.committed import ROOT, lifted
from tests.replayed_actions import git

pytestmark = pytest.mark.integration

EDITS = {
    "channel": "https://conda.example.org/torch",
    "maintainers": "[somebody, another]",
    "pythons": '["3.11", "3.12"]',
}
BIN = Path(sys.executable).parent
#: what reads the committed feedstock, whatever it says
LIFTED = re.compile(r"^def (test_\w+)\([^)]*\bcommitted\b", re.MULTILINE)


def run(fork: Path, *words: str | Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(fork)}
    environment.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(
        command, cwd=fork, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the edits, rendered again."""
    folder = tmp_path_factory.mktemp("fork") / "armtorch"
    listed = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"not a git checkout: {done.stderr.strip()}")
    with lifted():
        for name in filter(None, done.stdout.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
    declared = (folder / "feedstock.yaml").read_text()
    for key, value in EDITS.items():
        declared, found = re.subn(rf"^{key}:.*$", f"{key}: {value}", declared, flags=re.MULTILINE)
        assert found == 1
    (folder / "feedstock.yaml").write_text(declared)
    run(folder, "generator", "render", "--renumber")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Fork"]):
        git(folder, *words)
    return folder


def test_the_tests_that_read_the_feedstock_pass(fork: Path) -> None:
    chosen = [
        f"{path.relative_to(ROOT).as_posix()}::{name}"
        for path in sorted((ROOT / "tests").glob("*/test_*.py"))
        for name in LIFTED.findall(path.read_text(encoding="utf-8"))
    ]
    assert chosen
    _pytest(fork, [*chosen, "tests/unit/test_checkout.py"])


def test_its_recipes_and_workflows_are_sound(fork: Path) -> None:
    run(fork, "generator", "render", "--check")
    run(fork, "generator", "lint")
    workflows = sorted((fork / ".github/workflows").glob("*.yml"))
    schema = [BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
    judge = [BIN / "zizmor", "--offline", "--quiet", "--no-progress"]
    for command in (schema, judge, [BIN / "actionlint"]):
        subprocess.run([*command, *workflows], check=True, capture_output=True, cwd=fork)


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_all_unit_tests_pass(fork: Path) -> None:
    _pytest(fork, ["tests/unit"])


def _pytest(fork: Path, chosen: Sequence[str]) -> None:
    run(fork, "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *chosen)
