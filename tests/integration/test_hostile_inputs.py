"""What others wrote to do harm goes through the line: no traceback, no hang, no file outside."""

from __future__ import annotations

import subprocess
import sys

import pytest

from generator.documents import limits
from generator.lock import read_lock
from generator.stages.update import update_lock
from tests.command_line import ROOT
from tests.counts import count
from tests.hostile_inputs import KINDS, RELEASE, opened
from tests.index_server import IndexServer

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


@pytest.mark.parametrize("project", ["torch", "torchaudio"])
def test_any_number_of_newer_releases_costs_no_more_than_some(tmp_path, project):
    """A page can list thousands; each that is refused is a row of the lock."""
    most = limits().page.refused
    with IndexServer(tmp_path / "index") as server:
        line = opened(tmp_path, server)
        before = line.project.known().cells[0]
        name = RELEASE.wheel(project, "cp312").filename
        for number in range(most + 20):
            newer = name.replace("2.10.0", f"2.11.{number}", 1)
            (server.folder / newer).write_bytes(b"PK nothing")
        found = update_lock(line.project).lock
        assert found.cells[0].trio == before.trio
        assert len(found.all_held()) == most
        assert read_lock(line.project.lock) == found
