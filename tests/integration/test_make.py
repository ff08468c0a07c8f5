"""The Makefile as a person calls it: settings that nobody knows, empty ones, and exit codes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that is set up, whose armtorch says what it was asked and ends as CODE says."""
    program = tmp_path / ".venv/bin/armtorch"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "<%s> " "$@"\nexit "${CODE:-0}"\n')
    program.chmod(0o755)
    (tmp_path / "pyproject.toml").touch()
    for name in ("bin/python", ".installed"):
        (tmp_path / ".venv" / name).touch()
    return tmp_path


def make(checkout: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", "-f", ROOT / "Makefile", *words],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "CODE": str(code)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_setting_that_nobody_knows_is_named(checkout: Path) -> None:
    done = make(checkout, "channel", "PYTHONS=3.12")
    assert done.returncode == 2
    assert "PYTHONS: no such setting; there are SUBDIR ACCELERATOR PYTHON" in done.stderr
    assert done.stdout == ""


def test_an_empty_setting_starts_no_gigabytes(checkout: Path) -> None:
    done = make(checkout, "channel", "ACCELERATOR=", "SUBDIR=", "TORCH=v2.10.0")
    assert done.returncode == 0, done.stderr
    assert "<--subdir> <linux-aarch64> <--accelerator> <cpu> " in done.stdout
    assert "<--torch> <v2.10.0> " in done.stdout


def test_the_exit_code_reaches_the_caller(checkout: Path) -> None:
    """GNU make ends with 2 where a recipe fails, and says with what."""
    done = make(checkout, "channel", code=31)
    assert done.returncode == 2
    assert "channel] Error 31" in done.stderr
