"""A run reads feedstock.yaml and the lock once, and again when somebody has written them."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from generator.console import Silent
from generator.errors import FeedstockError
from generator.lock import write_lock
from generator.project import Project


@pytest.fixture
def mine(feedstock_copy) -> Project:
    return Project(feedstock=feedstock_copy / "feedstock.yaml", narrator=Silent())


def test_what_did_not_change_is_parsed_once(project):
    assert project.declared() is project.declared()
    assert project.locked() is project.known()


def test_what_was_written_since_is_read_again(mine):
    before, times = mine.declared(), mine.feedstock.stat()
    text = mine.feedstock.read_text()
    changed = text.replace("maintainers: [", "maintainers: [x", 1)
    assert changed != text
    mine.feedstock.write_text(changed)
    os.utime(mine.feedstock, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert mine.declared() != before
    lock = mine.known()
    write_lock(replace(lock, cells=lock.cells[:1]), mine.lock)
    assert len(mine.locked().cells) == 1
    assert len(lock.cells) > 1


def test_a_runs_own_lock_is_not_the_committed_one(mine, tmp_path):
    scratch = replace(mine, scratch=tmp_path / "run")
    assert mine.known().cells
    assert not scratch.locked().cells


def test_a_file_that_cannot_be_used_is_named_each_time(mine):
    mine.declared()
    mine.feedstock.write_text("nonsense: true\n")
    for _ in range(2):
        with pytest.raises(FeedstockError, match="nonsense"):
            mine.declared()
    mine.feedstock.unlink()
    with pytest.raises(FeedstockError, match="no such file"):
        mine.declared()
