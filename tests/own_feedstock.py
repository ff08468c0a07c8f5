"""A feedstock of the tests' own: what upstream had on 22 November 2026, for linux and macOS.

The committed feedstock, its lock and what is rendered from it change with every release, and no
test may expect anything of them but what holds for any lock (`tests/unit/test_own_feedstock.py`).
Build numbers are no part of it: they start anew, since the rules and templates are today's.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from generator.console import Silent
from generator.lock import read_lock, write_lock
from generator.project import Project
from generator.rendering import number_builds, render, write_tree

FOLDER = Path(__file__).with_name("feedstock")
#: feedstock.yaml and its lock as text; nothing may be written beside them
DECLARED = FOLDER / "feedstock.yaml"
LOCK = FOLDER / "feedstock.lock.yaml"


def write(folder: Path) -> Project:
    """Write the feedstock into a folder, numbered and rendered."""
    for name in ("feedstock.yaml", "conda-forge.yml"):
        shutil.copy(FOLDER / name, folder)
    project = Project(feedstock=folder / "feedstock.yaml", narrator=Silent())
    feedstock = project.declared()
    lock = number_builds(feedstock, replace(read_lock(LOCK), builds={}), None)
    write_lock(lock, project.lock)
    write_tree(render(feedstock, lock), folder)
    return project
