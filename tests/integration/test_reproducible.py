"""Two builds that have nothing in common but their inputs give the same bytes (decision D8)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


def built(
    folder: Path, jobs: int, order: str, *, user: tuple[str, ...] = (), **more: str
) -> object:
    folder.mkdir(parents=True)
    umask = int(more.pop("umask", "022"), 8)
    done = subprocess.run(
        [*user, sys.executable, "-m", "tests.reproducing", str(folder), str(jobs), order],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        umask=umask,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(folder), **more},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert len(found) > 15
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return built(tmp_path_factory.mktemp("a") / "repo", 1, "forwards", TZ="UTC", FILES_OF="1")


def test_folder_day_zone_umask_cores_and_order_leave_no_trace(plain, tmp_path):
    """The clock cannot be set here; that no time but the wheel's enters shows by all other times.

    Times that the builder might take instead: SOURCE_DATE_EPOCH, the files' own, and now, which
    is another for every build, to the second in rattler-build's stamps.
    """
    again = built(
        tmp_path / "a much deeper place" / "with spaces" / "repo",
        2,
        "backwards",
        TZ="Asia/Kathmandu",
        SOURCE_DATE_EPOCH="86400",
        FILES_OF="2000000000",
        PYTHONHASHSEED="7",
        LC_ALL="C",
        umask="077",
    )
    assert again == plain


def test_another_user_builds_the_same_bytes(plain):
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root with util-linux's setpriv can build as another user")
    # another user who may read what root may: the Python under test can lie in root's home
    rights = "+dac_override,+dac_read_search"
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    user = (*nobody, f"--inh-caps={rights}", f"--ambient-caps={rights}")
    with tempfile.TemporaryDirectory(prefix="armtorch-nobody-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        # rattler-build asks access(2) for its interpreter, which heeds no such rights
        python = folder / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        assert built(folder / "repo", 2, "forwards", user=user, PATH=path) == plain
        assert next(folder.rglob("*.conda")).stat().st_uid == 65534
