"""bitsandbytes' own wheels beside synthetic torches, on every platform; and run on the CPU cell."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from generator.channel import LocalChannel
from generator.console import Silent
from generator.inspecting.binaries import lint_binaries
from generator.inspecting.proving import VerifyOptions, verify_packages
from generator.matrix import Selection, select, variants
from generator.stages.build import BuildOptions, build_variants
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock
from generator.testing import create, solve
from generator.testing.runner import clean_environment
from tests.conftest import made_once
from tests.installing import pip
from tests.integration.index_worlds import world
from tests.integration.test_recipe_builds import Built
from tests.synthetic_wheels import Release

pytestmark = pytest.mark.e2e

VERSION = "0.50.2"
FEEDSTOCK = """\
indexes:
  pypi: {kind: pip}
  nvidia: {kind: folder, url: "{wheels}/win", accelerator: cuda130, subdirs: [win-arm64]}
trains: {stable: {keep: [newest], indexes: [pypi, nvidia]}}
subdirs:
  linux-aarch64: {accelerators: [cpu, cuda]}
  osx-arm64: {accelerators: [cpu]}
  win-arm64: {accelerators: [cpu, cuda]}
companions: [bitsandbytes]
"""
PLATFORMS = ("manylinux_2_24_aarch64", "macosx_14_0_arm64", "win_arm64")
#: subdir and accelerator -> libraries that the package has
HAS = {
    ("linux-aarch64", "cpu"): {"libbitsandbytes_cpu.so"},
    ("linux-aarch64", "cuda130"): {"libbitsandbytes_cpu.so", "libbitsandbytes_cuda130.so"},
    ("osx-arm64", "cpu"): {"libbitsandbytes_cpu.dylib"},
    ("win-arm64", "cpu"): {"libbitsandbytes_cpu.dll"},
    ("win-arm64", "cuda130"): {"libbitsandbytes_cpu.dll", "libbitsandbytes_cuda134.dll"},
}


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> LocalChannel:
    """The packages of all cells: built, which audits what their binaries load, and proven."""

    def fill(folder: Path) -> None:
        with world(folder / "world") as indexes:
            for platform in PLATFORMS:
                asked = ["--no-deps", "--only-binary=:all:", "--platform", platform]
                asked += ["--dest", str(indexes.wheels / "pypi"), f"bitsandbytes=={VERSION}"]
                pip("python", "download", "--quiet", *asked)
            for subdir, accelerator in HAS:
                made = Release(subdir=subdir, torch="2.10.0")
                if accelerator != "cpu":
                    made = replace(made, torch="2.14.0", torchvision="0.29.0", torchaudio="2.14.0")
                    made = replace(made, accelerator=accelerator)
                where = "win" if subdir == "win-arm64" and accelerator != "cpu" else "pypi"
                indexes.put(where, *made.wheels(["cp312"]))
            project = indexes.project(FEEDSTOCK)
            update_lock(project)
            render_feedstock(project)
            known = variants(project.declared(), project.locked())
            options = BuildOptions(channel=LocalChannel(folder / "channel"), jobs=1, level=1)
            found = select(known, Selection(packages=("bitsandbytes",)))
            build_variants(project, found, options).raise_for_failures()
            files = sorted(options.channel.root.glob("*/*.conda"))
            verdicts = verify_packages(project, files, VerifyOptions())
            assert {each.verdict for each in verdicts} == {"proven"}

    return LocalChannel(made_once(tmp_path_factory, "bitsandbytes", fill) / "channel")


def test_every_platform_has_one_with_the_cells_libraries(channel: LocalChannel) -> None:
    has = {}
    for path in channel.root.glob("*/bitsandbytes-*.conda"):
        built = Built.open(path)
        own = {Path(each).name for each in built.files if "libbitsandbytes_" in each}
        has[path.parent.name, str(built.index["build"]).partition("_")[0]] = own
    assert has == HAS


def test_the_audit_of_binaries_finds_nothing_beside_torch(channel, cpu_channel, tmp_path) -> None:
    """Beside the real torch of the CPU cell, whose libraries it loads."""
    folder = tmp_path / "linux-aarch64"
    folder.mkdir()
    for each in (*cpu_channel.root.glob("linux-aarch64/*torch*-2.10*"), *_of_cpu(channel)):
        (folder / each.name).symlink_to(each)
    found = lint_binaries(_of_cpu(LocalChannel(tmp_path)), narrator=Silent())
    found.check()
    assert len(found.packages) == 1


def _of_cpu(channel: LocalChannel) -> list[Path]:
    return sorted(channel.root.glob("linux-aarch64/bitsandbytes-*-cpu_*.conda"))


@pytest.mark.prove
@pytest.mark.emulated
def test_eight_bits_are_multiplied_on_the_cpu_cell(
    channel, cpu_channel, base, machine, runner, tmp_path
) -> None:
    records = solve(
        ["python=3.11", "bitsandbytes", "cpuonly"],
        channels=[cpu_channel.url, channel.url, base.url],
        machine=machine,
    )
    prefix = tmp_path / "prefix"
    create(records, subdir=machine.subdir, prefix=prefix, package_cache=tmp_path / "cache")
    (program,) = prefix.glob("etc/conda/test-files/bitsandbytes/*/smoke.py")
    done = subprocess.run(
        runner.command([str(prefix / "bin/python"), str(program)]),
        env=clean_environment(prefix, runner, os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert f"bitsandbytes {VERSION} works" in done.stdout
