"""CUDA and Apple Silicon packages, built here and solved against stand-ins of their base."""

from __future__ import annotations

import pytest

from generator.channel import LocalChannel
from generator.datafiles import subdirs
from generator.errors import SolveError
from generator.matrix import METAPACKAGES, Selection, select, variants
from generator.model import PythonBuild
from generator.stages.packages import BuildOptions, build_variants
from generator.testing import Machine, solve
from tests.forge import standins

pytestmark = pytest.mark.e2e

TRIO = ["pytorch", "torchvision", "torchaudio"]
# one Python each: the one whose wheel libtorch is taken from, so that one wheel serves both
CELLS = {
    "cuda": ("2.14", "linux-aarch64", "cuda130", PythonBuild(3, 10)),
    "macos": ("2.15", "osx-arm64", "cpu", PythonBuild(3, 11)),
}


def build(project, folder, cell):
    line, subdir, accelerator, python = CELLS[cell]
    chosen = select(
        variants(project.declared(), project.locked()),
        Selection(
            lines=(line, METAPACKAGES),
            subdirs=(subdir,),
            accelerators=(accelerator,),
            pythons=(python,),
        ),
    )
    channel = LocalChannel(folder / "channel")
    report = build_variants(project, chosen, BuildOptions(channel=channel, jobs=2, level=1))
    report.raise_for_failures()
    return channel, report


@pytest.fixture(scope="module")
def cuda(project, tmp_path_factory):
    return build(project, tmp_path_factory.mktemp("cuda"), "cuda")


@pytest.fixture(scope="module")
def macos(project, tmp_path_factory):
    return build(project, tmp_path_factory.mktemp("macos"), "macos")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return standins.write(tmp_path_factory.mktemp("standins"))


def machine(subdir, *virtual):
    return Machine.of(subdirs()[subdir], native=False, added=virtual)


def test_the_cuda_trio_is_built_and_solves_where_there_is_a_gpu(cuda, base):
    channel, report = cuda
    assert {row.status for row in report.rows} == {"built"}
    records = solve(
        TRIO,
        channels=[channel.url, base],
        machine=machine("linux-aarch64", "__glibc=2.39", "__cuda=13.0"),
    )
    found = {r.name.normalized: r for r in records}
    assert str(found["pytorch"].version) == "2.14.1"
    assert str(found["libtorch"].build).startswith("cuda130_generic_h")
    assert 200 <= found["pytorch"].build_number < 300
    assert {"libcublas", "libcudnn", "nccl", "cuda-cudart", "triton"} <= found.keys()


def test_the_cuda_trio_is_refused_where_there_is_none(cuda, base):
    channel, _ = cuda
    with pytest.raises(SolveError, match="__cuda"):
        solve(TRIO, channels=[channel.url, base], machine=machine("linux-aarch64", "__glibc=2.39"))


@pytest.mark.parametrize("virtual", [(), ("__cuda=13.0",)])
def test_the_macos_trio_is_built_and_solves(macos, base, virtual):
    channel, report = macos
    assert {row.status for row in report.rows} == {"built"}
    records = solve(TRIO, channels=[channel.url, base], machine=machine("osx-arm64", *virtual))
    found = {r.name.normalized: r for r in records}
    assert [str(found[name].version) for name in TRIO] == ["2.15.0", "0.29.2", "2.11.0"]
    assert {"llvm-openmp", "python_abi"} <= found.keys()
