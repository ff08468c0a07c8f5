"""torch for 32-bit ARM: from compiled wheels to one install on a base of Debian's, run under qemu.

The wheels take hours and are no part of the repository: ARMTORCH_ARMV7L_WHEELS names a folder where
`armtorch compile` has put them. ``theirs.pt``, saved by a torch for 64 bits, may lie there, too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from generator.channel import LocalChannel
from generator.console import Silent
from generator.datafiles import subdirs
from generator.errors import MissingToolError
from generator.matrix import variants
from generator.project import Project
from generator.stages.base import BaseOptions, make_bases
from generator.stages.build import BuildOptions, build_variants
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock
from generator.testing import Machine, Runner, choose_runner, create, solve
from generator.testing.runner import clean_environment
from tests.board import CONDA, CONDA_OF_DEBIAN, board, conda_wheels, on_board
from tests.conftest import made_once, missing
from tests.debian_base import ARM, debs_of, sysroot_of
from tests.forge.channel import default_cache

_WHEELS = os.environ.get("ARMTORCH_ARMV7L_WHEELS", "")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.emulated,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(
        not _WHEELS, reason="ARMTORCH_ARMV7L_WHEELS names no folder: compiling takes hours"
    ),
]

PROGRAM = Path(__file__).with_name("programs") / "thirty_two_bits.py"
BY_CONDA = """\
~/client/bin/python -m conda create $only python
~/client/bin/python -m conda install $only pytorch torchvision torchaudio cpuonly pysoundfile
"""
FEEDSTOCK = """\
channel: mine
maintainers: [someone]
carry_armtorch: false
indexes:
  compiled: {{kind: folder, url: "{wheels}", accelerator: cpu, glibc: "2.41",
             local_versions: [armtorch1], subdirs: [linux-armv7l]}}
  pypi: {{kind: pip, accelerator: cpu}}
trains: {{stable: {{keep: [newest], indexes: [compiled, pypi]}}}}
subdirs: {{linux-armv7l: {{accelerators: [cpu], base: [conda-forge]}}}}
debian: {{linux-armv7l: {{suite: trixie, architecture: armhf}}}}
"""


def _project(folder: Path) -> Project:
    return Project(
        feedstock=folder / "feedstock.yaml", narrator=Silent(), cache=default_cache().parent
    )


def _made(folder: Path) -> None:
    text = FEEDSTOCK.format(wheels=Path(_WHEELS).absolute())
    (folder / "feedstock.yaml").write_text(text)
    project = _project(folder)
    channel = LocalChannel(folder / "channel")
    assert update_lock(project).findings == ()
    render_feedstock(project)
    make_bases(project, (), BaseOptions(channel=channel, jobs=2, level=1))
    found = variants(project.declared(), project.locked())
    report = build_variants(project, found, BuildOptions(channel=channel, jobs=2, level=1))
    report.raise_for_failures()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return _project(made_once(tmp_path_factory, "armv7l", _made))


@pytest.fixture(scope="module")
def runner(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    debs = debs_of(project, tmp_path_factory.mktemp("debs"))
    try:
        return choose_runner(
            subdirs()[ARM], sysroot=sysroot_of(debs, tmp_path_factory.mktemp("sysroot"))
        )
    except MissingToolError as error:
        missing(str(error))


@pytest.fixture(scope="module")
def prefix(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the mission's command installs, from that channel alone."""
    machine = Machine.of(subdirs()[ARM], native=False)
    url = LocalChannel(project.root / "channel").url
    specs = ["pytorch", "torchvision", "torchaudio", "cpuonly", "pysoundfile"]
    records = solve(specs, channels=[url], machine=machine)
    folder = tmp_path_factory.mktemp("armv7l")
    paths = {"prefix": folder / "prefix", "package_cache": folder / "cache"}
    return create(records, subdir=ARM, **paths).prefix


@pytest.fixture(scope="module")
def exchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the other torch saved, where it was given."""
    folder = tmp_path_factory.mktemp("exchanged")
    if (theirs := Path(_WHEELS) / "theirs.pt").is_file():
        shutil.copy(theirs, folder)
    return folder


def _judge(said: str) -> None:
    rows = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    outcomes = {each["part"]: each["outcome"] for each in rows}
    assert outcomes.pop("bits") == str(2**31 - 1)
    assert set(outcomes.values()) == {"right"}, outcomes
    assert len(outcomes) == 11


def _arguments(exchanged: Path) -> list[str]:
    return [] if (exchanged / "theirs.pt").is_file() else ["--alone"]


def test_it_computes_as_it_should(prefix: Path, runner: Runner, exchanged: Path) -> None:
    program = [str(prefix / "bin/python"), str(PROGRAM), str(exchanged), *_arguments(exchanged)]
    done = subprocess.run(
        runner.command(program),
        env=clean_environment(prefix, runner, {"HOME": str(exchanged)}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    _judge(done.stdout)


def test_conda_installs_it_on_a_board(project: Project, exchanged: Path, tmp_path: Path) -> None:
    """The mission's command by conda itself, which runs on the board (docs/armv7l.md)."""
    root = board(tmp_path / "root", *CONDA_OF_DEBIAN)
    conda_wheels(root, tmp_path)
    shutil.copytree(project.root / "channel", root / "channel")
    shutil.copytree(exchanged, root / "exchanged")
    shutil.copy(PROGRAM, root)
    arguments = " ".join(["/exchanged", *_arguments(exchanged)])
    said = on_board(root, f"{CONDA}{BY_CONDA}~/env/bin/python /{PROGRAM.name} {arguments}\n")
    _judge(said)
