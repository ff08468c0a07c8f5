"""A checkout is the same bytes everywhere: with autocrlf, and where case does not matter."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.committed import ROOT
from tests.replayed_actions import git

#: characters of a path from the repository's root: Windows has 260 for the whole
LONGEST = 200
#: not in a name on Windows (learn.microsoft.com, "Naming Files, Paths, and Namespaces")
REFUSED = set('<>:"|?*\\')
NUMBERED = (f"{kind}{n}" for kind in ("com", "lpt") for n in range(10))
DEVICES = {"con", "prn", "aux", "nul", *NUMBERED}


@pytest.fixture(scope="module")
def tracked() -> list[tuple[str, str]]:
    """Mode and path of every committed file."""
    done = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-sz"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"not a git checkout: {done.stderr.strip()}")
    rows = [row.split("\t") for row in done.stdout.split("\0") if row]
    return [(head.split()[0], path) for head, path in rows]


def test_there_are_no_links(tracked):
    assert [path for mode, path in tracked if mode not in {"100644", "100755"}] == []


def test_names_fit_every_file_system(tracked):
    paths = [path for _, path in tracked]
    folders = {os.fspath(parent) for path in paths for parent in Path(path).parents}
    same = Counter(name.casefold() for name in {*paths, *folders})
    assert [name for name, number in same.items() if number > 1] == []
    assert [path for path in paths if len(path) >= LONGEST] == []
    parts = {part for path in paths for part in path.split("/")}
    assert [part for part in parts if REFUSED & set(part) or part.endswith((".", " "))] == []
    assert [part for part in parts if part.split(".")[0].lower() in DEVICES] == []


def test_autocrlf_changes_no_byte(tmp_path: Path) -> None:
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    (origin / ".gitattributes").write_bytes((ROOT / ".gitattributes").read_bytes())
    (origin / "build.py").write_bytes(b"one\ntwo\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Start"]):
        git(origin, *words)
    git(tmp_path, "-c", "core.autocrlf=true", "clone", "-q", str(origin), str(clone))
    assert (clone / "build.py").read_bytes() == b"one\ntwo\n"
