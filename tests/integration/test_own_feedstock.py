"""The tests are green whatever the committed feedstock and its lock say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from generator.console import Silent
from generator.lock import read_lock, write_lock
from generator.model import Cell, Lock, Metadata
from generator.project import Project
from generator.rendering import number_builds, render, write_tree
from tests import own_feedstock
from tests.command_line import armtorch
from tests.committed import ROOT
from tests.trains import with_versions

pytestmark = pytest.mark.integration

#: neither code nor tests, or written anew below
LEFT_OUT = (
    *(".git", ".venv", ".armtorch", "channel", "wheelhouse", "output", ".*_cache"),
    *("feedstock.yaml", "feedstock.lock.yaml", "recipes", ".ci_support"),
)
#: what is quick of the tests that work on a feedstock with real releases, or on the committed one
CHOSEN = (
    "tests/unit/test_feedstock.py",
    "tests/unit/test_fill.py",
    "tests/unit/test_matrix_variants.py",
    "tests/unit/test_rendering_licenses.py",
    "tests/unit/test_upstream_trio.py",
    "tests/integration/test_commands.py::test_rendered_files_on_main_are_what_the_lock_gives",
    "tests/integration/test_commands.py::test_ids_are_one_a_line_and_select_themselves",
)
MOVED = {"2.10.0": "2.20.1", "0.25.0": "0.35.1", "2.15.0": "2.21.0", "2.11.0": "2.13.0"}


def other_lock(lock: Lock) -> Lock:
    """Half of the cells, of releases that there are not yet."""
    cells: list[Cell] = []
    metadata: dict[str, Metadata] = {}
    for cell in lock.cells:
        if cell.line in {"2.10", "2.15"}:
            moved, said = with_versions(cell, lock.metadata, MOVED, salt="next year")
            cells.append(replace(moved, line=f"{moved.torch[:4]}"))
            metadata |= said
    return Lock(cells=tuple(cells), metadata=metadata).in_order()


def test_tests_pass_beside_another_committed_lock(tmp_path: Path) -> None:
    checkout = tmp_path / "another checkout"
    at_the_top = shutil.ignore_patterns(*LEFT_OUT)

    def left_out(folder: str, names: list[str]) -> set[str]:
        return at_the_top(folder, names) if Path(folder) == ROOT else {"__pycache__"} & {*names}

    shutil.copytree(ROOT, checkout, ignore=left_out)
    declared = own_feedstock.DECLARED.read_text().partition("\nlines:")[0]
    (checkout / "feedstock.yaml").write_text(
        re.sub("(channel: |\\[)armtorch", r"\1elsewhere", declared)
    )
    project = Project(feedstock=checkout / "feedstock.yaml", narrator=Silent())
    lock = number_builds(project.declared(), other_lock(read_lock(own_feedstock.LOCK)), None)
    write_lock(lock, project.lock)
    write_tree(render(project.declared(), lock), checkout)
    assert {cell.torch for cell in lock.cells} == {"2.20.1", "2.21.0"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *CHOSEN],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]


def test_a_test_that_reads_the_committed_lock_fails_where_it_does_so(own: Path) -> None:
    message = "may expect nothing of the committed feedstock"
    with pytest.raises(AssertionError, match=message):
        read_lock(ROOT / "feedstock.lock.yaml")
    with pytest.raises(AssertionError, match=message):
        list((ROOT / "recipes").iterdir())
    with pytest.raises(AssertionError, match=message):
        armtorch("matrix", cwd=ROOT)
    assert read_lock(own / "feedstock.lock.yaml").cells
