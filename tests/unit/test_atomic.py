"""What a file that is written whole has beside its bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.atomic import write_text

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")


@pytest.fixture
def strict() -> Iterator[None]:
    """The umask of a careful person."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_a_new_file_has_the_mode_that_open_gives(strict: None, tmp_path: Path) -> None:
    write_text(tmp_path / "new", "1")
    (tmp_path / "opened").write_text("1")
    assert mode(tmp_path / "new") == mode(tmp_path / "opened") == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "opened"]


def test_a_replaced_file_keeps_its_mode(strict: None, tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_text("1")
    path.chmod(0o755)
    write_text(path, "2")
    assert (path.read_text(), mode(path)) == ("2", 0o755)


def test_other_threads_files_keep_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The umask is the whole process's: even for a moment it is not changed."""

    def changed(_: int) -> int:
        msg = "the umask was changed"
        raise AssertionError(msg)

    monkeypatch.setattr(os, "umask", changed)
    write_text(tmp_path / "new", "1")
    assert (tmp_path / "new").read_text() == "1"
