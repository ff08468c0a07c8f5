"""What others wrote to do harm goes through the line: no traceback, no hang, no file outside."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.command_line import ROOT
from tests.counts import count
from tests.hostile_inputs import KINDS

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_inputs_cost_themselves_and_nothing_else(kind):
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile_inputs", kind, "0", str(count(f"hostile_{kind}"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
