"""kill -9 at any moment: nothing half under a final name, a usable channel, and it goes on."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generator.channel import LocalChannel
from tests.conda_files import write_conda
from tests.counts import count
from tests.tiny_recipes import TinyRepo, make_repo

pytestmark = pytest.mark.integration
#: seconds after which something hangs, on however busy a machine
PATIENCE = 300


def start(repo: TinyRepo, channel: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.integration.builder",
            str(repo.root.parent),
            str(channel),
            *more,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> dict[str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return {row["file"]: row["sha256"] for row in json.loads(out)["variants"]}


def sums(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.conda")}


def assert_usable(channel: Path, whole: dict[str, str]) -> None:
    """Every package is whole, and what the repodata promises is there with that sha256."""
    there = sums(channel / "linux-aarch64")
    assert there.items() <= whole.items()
    # what the others need is there before any of them
    assert not there or next(iter(whole)) in there
    records = LocalChannel(channel).records("linux-aarch64")
    assert {r.file_name: r.sha256 for r in records}.items() <= there.items()


def test_kill_9_of_the_builder_at_any_moment(tmp_path: Path) -> None:
    repo, channel = make_repo(tmp_path), tmp_path / "channel"
    begin = time.monotonic()
    whole = finish(start(repo, tmp_path / "reference"))
    longest = time.monotonic() - begin
    dice, reached = random.Random(11), 0
    for _ in range(count("kills")):
        process = start(repo, channel)
        time.sleep(dice.uniform(longest * 0.2, longest))
        process.kill()
        process.communicate()
        assert_usable(channel, whole)
        reached += (repo.root / ".armtorch" / "build").is_dir()
        if dice.random() < 0.3:
            shutil.rmtree(channel, ignore_errors=True)
    assert reached, "no kill came late enough to mean anything"
    assert finish(start(repo, channel)) == whole
    assert_usable(channel, whole)
    assert len(LocalChannel(channel).records("linux-aarch64")) == len(whole)
    # the folders of killed runs are cleared by a later one; orphans may still end meanwhile
    deadline = time.monotonic() + PATIENCE
    while list((repo.root / ".armtorch" / "build").glob("run-*")):
        assert time.monotonic() < deadline
        time.sleep(0.5)
        shutil.rmtree(channel)
        finish(start(repo, channel))


def test_kill_9_of_the_indexer_leaves_the_repodata_of_before(tmp_path: Path) -> None:
    repo, channel = make_repo(tmp_path), tmp_path / "channel"
    whole = finish(start(repo, channel))
    folder = channel / "linux-aarch64"
    begin = time.monotonic()
    start(repo, channel, "index").communicate()
    longest = time.monotonic() - begin
    dice = random.Random(13)
    for number in range(count("kills")):
        # a package more each time, so that there is something to index
        write_conda(channel, "more", str(number), "0")
        process = start(repo, channel, "index")
        time.sleep(dice.uniform(longest * 0.5, longest * 1.1))
        process.kill()
        process.communicate()
        records = {r.file_name: r.sha256 for r in LocalChannel(channel).records("linux-aarch64")}
        assert records.items() <= sums(folder).items()
        assert whole.keys() <= records.keys()
        json.loads((channel / "noarch" / "repodata.json").read_text())
    last = start(repo, channel, "index")
    last.communicate(timeout=PATIENCE)
    assert last.returncode == 0
    names = {record.file_name for record in LocalChannel(channel).records("linux-aarch64")}
    assert names == {path.name for path in folder.glob("*.conda")}
    assert not (channel / ".tmp").exists()


def test_ctrl_c_ends_the_workers_too(tmp_path: Path) -> None:
    repo, channel = make_repo(tmp_path), tmp_path / "channel"
    code, err = _interrupted(repo, channel)
    assert code != 0
    assert "KeyboardInterrupt" in err
    assert not list((repo.root / ".armtorch" / "build").glob("run-*"))
    deadline = time.monotonic() + PATIENCE
    while [line for line in _commands() if str(repo.root) in line]:  # killed, and not yet dead
        assert time.monotonic() < deadline, "a worker outlived its driver"
        time.sleep(0.05)
    assert len(finish(start(repo, channel))) == 2


def _interrupted(repo: TinyRepo, channel: Path) -> tuple[int, str]:
    """Send SIGINT when a worker runs its script; return the exit code and what was said."""
    process = start(repo, channel, "endless")
    deadline = time.monotonic() + PATIENCE
    while not [line for line in _commands() if str(repo.root) in line and "build.py" in line]:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    try:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()  # what did not hear it is not to be in the way of other tests
    return process.returncode, err


def _commands() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_two_builders_at_once(tmp_path: Path) -> None:
    repo, channel = make_repo(tmp_path), tmp_path / "channel"
    both = [start(repo, channel) for _ in range(2)]
    first, second = (finish(process) for process in both)
    assert first == second == sums(channel / "linux-aarch64")
    records = LocalChannel(channel).records("linux-aarch64")
    assert {r.file_name: r.sha256 for r in records} == first


def _can_mount() -> bool:
    probe = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    return (
        sys.platform == "linux"
        and shutil.which("unshare") is not None
        and (subprocess.run(probe, capture_output=True, check=False).returncode == 0)
    )


@pytest.mark.skipif(not _can_mount(), reason="needs user namespaces with mounts")
@pytest.mark.parametrize(
    ("full", "size", "says"),
    [
        ("repo/.armtorch", "3m", "no space left to build in"),
        ("channel", "2500k", "cannot be written"),
    ],
)
def test_no_space(tmp_path: Path, full: str, size: str, says: str) -> None:
    repo = make_repo(tmp_path)
    small = tmp_path / full
    small.mkdir()
    script = f'mount -t tmpfs -o size={size} tmpfs {small} && exec "$@"'
    builder = [sys.executable, "-m", "tests.integration.builder"]
    run = subprocess.run(
        [
            "unshare",
            "-rm",
            "sh",
            "-c",
            script,
            "sh",
            *builder,
            repo.root.parent,
            tmp_path / "channel",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert run.returncode == 30, run.stdout + run.stderr
    assert says in run.stderr
    assert "next:" in run.stderr
    assert finish(start(repo, tmp_path / "channel"))
