"""A release whose Pythons cannot share a libtorch: one line of YAML, and each has its own.

From PyPI itself: update reads the index, build fetches two trios (207 MB, kept in the user's
wheelhouse), and the packages are installed from the forge and run as ARM programs.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from generator.channel import LocalChannel
from generator.console import Silent
from generator.inspecting.proving import VerifyOptions, verify_packages
from generator.matrix import variants
from generator.model import PythonBuild
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock
from generator.testing import create, solve
from generator.testing.runner import clean_environment
from generator.upstream.reaching import reached

pytestmark = [pytest.mark.e2e, pytest.mark.emulated, pytest.mark.prove]

TRIO = {"pytorch": "2.7.1", "torchvision": "0.22.1", "torchaudio": "2.7.1"}
TRIO_OF_PYPI = ("torch", "torchvision", "torchaudio")
FEEDSTOCK = """\
channel: older
maintainers: [someone]
carry_armtorch: false
indexes:
  pypi: {kind: pip}
trains:
  stable: {keep: [], indexes: [pypi]}
subdirs:
  linux-aarch64: {accelerators: [cpu]}
lines:
  - name: older-2.7
    torch: ==2.7.*
    subdirs: [linux-aarch64]
    accelerators: [cpu]
    pythons: ["3.9", "3.11"]
"""


@pytest.fixture(scope="module")
def channel(tmp_path_factory) -> LocalChannel:
    root = tmp_path_factory.mktemp("older")
    (root / "feedstock.yaml").write_text(FEEDSTOCK)
    project = Project(feedstock=root / "feedstock.yaml", narrator=Silent())
    assert update_lock(project).findings == ()
    render_feedstock(project)
    (cell,) = project.locked().cells
    assert [group.reference for group in cell.groups] == ["3.9", "3.11"]
    found = variants(project.declared(), project.locked())
    assert {variant.python for variant in found} == {None, PythonBuild(3, 9), PythonBuild(3, 11)}
    channel = LocalChannel(root / "channel")
    report = build_variants(project, found, BuildOptions(channel=channel, jobs=2, level=1))
    report.raise_for_failures()
    assert [row.floor for row in report.rows] == [None] * len(found)
    packages = sorted(channel.root.glob("*/*.conda"))
    proofs = verify_packages(project, packages, VerifyOptions())
    assert {proof.verdict for proof in proofs} == {"proven"}
    return channel


def test_every_python_of_four_older_releases_is_locked(tmp_path):
    (tmp_path / "feedstock.yaml").write_text(
        FEEDSTOCK.split("lines:", maxsplit=1)[0]
        + "lines:\n"
        + "".join(
            f"  - {{name: older-{minor}, torch: ==2.{minor}.*, subdirs: [linux-aarch64], "
            "accelerators: [cpu], pythons: all}\n"
            for minor in (6, 7, 8, 9)
        )
    )
    project = Project(feedstock=tmp_path / "feedstock.yaml", narrator=Silent())
    assert update_lock(project).findings == ()
    cells = project.locked().cells
    assert [cell.torch for cell in cells] == ["2.6.0", "2.7.1", "2.8.0", "2.9.1"]
    with reached(project, project.declared().indexes) as (_, indexes):
        offers = [each for name in TRIO_OF_PYPI for each in indexes["pypi"].offers(name)]
    for cell in cells:
        for name in TRIO_OF_PYPI:
            versions = {wheel.version for wheel in cell.wheels_of(name)}
            locked = {_python(wheel.filename) for wheel in cell.wheels_of(name)}
            there = {
                _python(offer.filename)
                for offer in offers
                if offer.project == name and str(offer.version) in versions
                if offer.filename.endswith("aarch64.whl") and offer.yanked is None
            }
            assert locked == there, cell.name


def _python(filename: str) -> str:
    """Return a wheel's Python and ABI; of a build made again the newest is taken (PEP 427)."""
    return "-".join(filename.split("-")[-3:-1])


@pytest.mark.parametrize("python", ["3.9", "3.11"])
def test_the_trio_of_2_7_is_installed_and_runs(python, channel, base, machine, runner, tmp_path):
    records = solve(
        [f"python={python}", *(f"{name}={version}" for name, version in TRIO.items()), "cpuonly"],
        channels=[channel.url, base.url],
        machine=machine,
    )
    there = {record.name.normalized: record for record in records}
    assert {name: str(there[name].version) for name in TRIO} == TRIO
    own = f"cpu_generic_py{python.replace('.', '')}_"
    for name in ("libtorch", "pytorch-common", "pytorch"):
        assert str(there[name].build).startswith(own)
    prefix = create(
        records, prefix=tmp_path / "prefix", subdir=machine.subdir, package_cache=tmp_path / "cache"
    ).prefix
    programs = [next((prefix / "etc/conda/test-files" / name).glob("*/smoke.py")) for name in TRIO]
    # one process for all three: emulated, torch takes its time to import
    code = "import runpy, sys\nfor each in sys.argv[1:]: runpy.run_path(each, run_name='__main__')"
    done = subprocess.run(
        runner.command([str(prefix / "bin/python"), "-c", code, *map(str, programs)]),
        env=clean_environment(prefix, runner, os.environ),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
