"""What a killed build left is published: what clients see can be solved, package by package."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generator.channel import LocalChannel
from generator.channel.repodata import Record
from generator.datafiles import subdirs
from generator.errors import AbsentError, SolveError
from generator.testing import ChannelSolver, Machine
from tests.command_line import ROOT, armtorch
from tests.counts import count
from tests.integration.index_worlds import trio
from tests.integration.small_base import write_base
from tests.integration.synthetic import Line, updated

pytestmark = pytest.mark.integration

SUBDIR = "linux-aarch64"


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> Line:
    folder = tmp_path_factory.mktemp("line")
    (folder / "armtorch").symlink_to("cache")  # as the command calls it
    return updated(folder, trio("2.10.0", "0.25.0", "2.10.0"), SUBDIR)


@pytest.fixture
def base(tmp_path: Path) -> str:
    return write_base(tmp_path / "base", SUBDIR, ["3.12"])


def environment(line: Line) -> dict[str, str]:
    cache = str(line.project.cache.parent)
    return {**os.environ, "XDG_CACHE_HOME": cache, "PYTHONPATH": str(ROOT)}


def kill_a_build(line: Line, channel: Path, dice: random.Random) -> None:
    """Kill a build some time after some more packages are there."""
    command = [sys.executable, "-m", "generator", "build", "--out", str(channel), "--level", "1"]
    process = subprocess.Popen(
        command,
        cwd=line.project.root,
        env=environment(line),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wanted = len(list(channel.glob("*/*.conda"))) + dice.randrange(6)
    while process.poll() is None and len(list(channel.glob("*/*.conda"))) < wanted:
        time.sleep(0.02)
    time.sleep(dice.uniform(0, 1))
    process.kill()
    process.wait()


def records(channel: Path) -> list[Record]:
    found = (
        LocalChannel(channel).records(path.parent.name) for path in channel.glob("*/repodata.json")
    )
    return [record for each in found for record in each]


def unsolvable(channel: Path, base: str) -> list[str]:
    machine = Machine.of(subdirs()[SUBDIR], native=False)
    solver = ChannelSolver(channels=(channel.resolve().as_uri(), base), machine=machine)
    return [
        record.key
        for record in records(channel)
        # which asks on purpose for what there may be nowhere
        if record.name != "torchaudio-torchcodec"
        and not solver.solvable([f"{record.name} =={record.version} {record.build}"])
    ]


def test_what_is_published_after_a_kill_can_be_solved(line, base, tmp_path):
    channel, served = tmp_path / "channel", tmp_path / "served"
    publish = ("publish", "--from", channel, "--to", served)
    env, cwd = environment(line), line.project.root
    dice, some = random.Random(17), 0
    served.mkdir()
    for _ in range(count("killed_builds")):
        kill_a_build(line, channel, dice)
        if channel.is_dir():  # as the next command that ends well does
            LocalChannel(channel).index()
        done = armtorch(*publish, cwd=cwd, env=env)
        assert done.returncode in {0, AbsentError.exit_code, SolveError.exit_code}, done.stderr
        assert unsolvable(served, base) == []
        some += bool(records(served))
        for folder in (channel, served):
            if dice.random() < 0.5:
                shutil.rmtree(folder, ignore_errors=True)
                served.mkdir(exist_ok=True)
    assert some, "no kill came late enough to mean anything"
    done = armtorch("build", "--out", channel, "--level", "1", cwd=cwd, env=env)
    assert done.returncode == 0, done.stderr
    done = armtorch(*publish, "--base", base, cwd=cwd, env=env)
    assert done.returncode == 0, done.stderr
    whole = {each.key for each in records(line.channel.root)}
    assert {each.key for each in records(served)} == whole
    assert unsolvable(served, base) == []


def test_what_a_job_makes_of_a_release_is_packed_for_everybody_who_downloads_it(line, tmp_path):
    """At policies.published_level; what a person builds is packed at once."""
    sizes = []
    for words in (("--package", "libtorch"), ("--job", "2.10-linux-aarch64-cpu-shared")):
        out = tmp_path / words[1]
        command = ("build", "--out", out, *words)
        done = armtorch(*command, cwd=line.project.root, env=environment(line))
        assert done.returncode == 0, done.stderr
        sizes += [path.stat().st_size for path in out.glob("*/libtorch-*.conda")]
    by_hand, by_job = sizes
    assert by_job < by_hand


def test_a_package_whose_needs_the_base_lacks_is_not_published(line, tmp_path):
    lacking = write_base(tmp_path / "base", SUBDIR, ["3.12"], without=["numpy"])
    publish = (
        "publish",
        "--from",
        line.channel.root,
        "--to",
        f"{tmp_path}/served",
        "--base",
        lacking,
    )
    done = armtorch(*publish, cwd=line.project.root, env=environment(line))
    assert done.returncode == SolveError.exit_code
    assert "numpy" in done.stderr
    assert not list(tmp_path.glob("served/*/*.conda"))
