"""The newest cells for two Pythons each, from the committed lock: gigabytes, so only --large.

What `make test` builds of these cells is for one Python; here one libtorch has to serve two.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from generator.building import BuildReport
from generator.channel import LocalChannel
from generator.channel.built import built_packages
from generator.console import Silent
from generator.datafiles import subdirs
from generator.inspecting.binaries import lint_binaries
from generator.inspecting.proving import VerifyOptions, verify_packages
from generator.matrix import METAPACKAGES, Selection, select, variants
from generator.model import PythonBuild, Pythons
from generator.stages.build import BuildOptions, build_variants
from generator.testing import Machine, solve
from tests.forge import standins

pytestmark = [pytest.mark.e2e, pytest.mark.large, pytest.mark.timeout(3600)]

TRIO = {"pytorch": "2.15.0", "torchvision": "0.29.2", "torchaudio": "2.11.0"}
PYTHONS = (PythonBuild(3, 11), PythonBuild(3, 12))


@dataclass(frozen=True)
class Cell:
    subdir: str
    accelerator: str
    #: packages that both Pythons share
    shared: tuple[str, ...]
    virtual: tuple[str, ...] = ()


CELLS = {
    "cuda": Cell(
        "linux-aarch64",
        "cuda132",
        ("libtorch", "pytorch-common", "torchvision", "pytorch-gpu"),
        ("__glibc=2.39", "__cuda=13.2"),
    ),
    "macos": Cell("osx-arm64", "cpu", ("libtorch", "pytorch-common", "torchvision")),
}


@dataclass(frozen=True)
class Built:
    cell: Cell
    channel: LocalChannel
    report: BuildReport


@pytest.fixture(scope="module", params=CELLS)
def built(request, project, tmp_path_factory) -> Built:
    cell = CELLS[request.param]
    wanted = Selection(
        lines=("2.15", METAPACKAGES),
        subdirs=(cell.subdir,),
        accelerators=(cell.accelerator,),
        pythons=Pythons(PYTHONS),
    )
    channel = LocalChannel(tmp_path_factory.mktemp(request.param) / "channel")
    chosen = select(variants(project.declared(), project.locked()), wanted)
    report = build_variants(project, chosen, BuildOptions(channel=channel, jobs=1, level=1))
    report.raise_for_failures()
    return Built(cell, channel, report)


def test_one_libtorch_serves_two_pythons(built):
    assert {row.status for row in built.report.rows} == {"built"}
    own = [row.file_name for row in built.report.rows if row.subdir != "noarch"]
    for name in built.cell.shared:
        assert sum(file.rsplit("-", 2)[0] == name for file in own) == 1, name
    records = built.channel.records(built.cell.subdir)
    (libtorch,) = (record for record in records if record.name == "libtorch")
    pythons = [record for record in records if record.name == "pytorch"]
    assert len(pythons) == len(PYTHONS)
    exact = f"libtorch =={libtorch.version} {libtorch.build}"
    assert all(exact in record.depends for record in pythons)


def test_no_binary_misses_anything_and_every_file_is_proven(built, project):
    packages = built_packages(built.channel)
    assert [str(found) for _, found in lint_binaries(packages, narrator=Silent()).errors] == []
    verdicts = {proof.verdict for proof in verify_packages(project, packages, VerifyOptions())}
    assert verdicts == {"proven"}
    assert [row.floor for row in built.report.rows] == [None] * len(built.report.rows)


@pytest.mark.parametrize("python", PYTHONS, ids=str)
def test_the_trio_solves_for_each(built, python, tmp_path):
    machine = Machine.of(subdirs()[built.cell.subdir], native=False, added=built.cell.virtual)
    channels = [built.channel.url, standins.write(tmp_path)]
    records = solve([f"python={python}", *TRIO], channels=channels, machine=machine)
    found = {record.name.normalized: record for record in records}
    assert {name: str(found[name].version) for name in TRIO} == TRIO
    kind = "cpu" if built.cell.accelerator == "cpu" else built.cell.accelerator
    assert str(found["libtorch"].build).startswith(f"{kind}_generic_h")
