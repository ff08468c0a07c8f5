"""CUDA and Apple Silicon packages, built here and solved against stand-ins of their base."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from generator.building import open_payload, place_of
from generator.channel import LocalChannel
from generator.channel.built import built_packages
from generator.console import Silent
from generator.datafiles import subdirs
from generator.errors import SolveError
from generator.inspecting.binaries import BinaryLint, lint_binaries
from generator.matrix import METAPACKAGES, Selection, select, variants
from generator.model import PythonBuild, Pythons
from generator.naming import bundled, sonames
from generator.stages.build import BuildOptions, build_variants
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
            pythons=Pythons((python,)),
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


def lint(channel: LocalChannel) -> BinaryLint:
    return lint_binaries(built_packages(channel), narrator=Silent())


def test_the_cuda_trio_has_no_open_finding(cuda, base):
    """Alone and together; every package that the audit says is needed exists on conda-forge."""
    channel, _ = cuda
    found = lint(channel)
    assert [str(one) for _, one in found.errors] == []
    assert [len(trio.files) for trio in found.trios] == [len(found.packages)]
    records = solve(
        TRIO,
        channels=[channel.url, base],
        machine=machine("linux-aarch64", "__glibc=2.39", "__cuda=13.0"),
    )
    there = {record.name.normalized for record in records}
    providers = {p for package in found.packages for p in package.report.providers}
    assert {p.package for p in providers} <= there
    # what upstream bundles twice has one provider: the CUDA runtime, nvJPEG, OpenMP
    for library, owner in (
        ("libcudart.so.13", "cuda-cudart"),
        ("libnvjpeg.so.13", "libnvjpeg"),
        ("libgomp.so.1", "_openmp_mutex"),
        ("libnvpl_blas_lp64_gomp.so.0", "libnvpl-blas0"),
    ):
        assert {p.package for p in providers if p.library == library} == {owner}
    assert {f.rule.id for _, f in found.findings() if not f.accepted} <= {"L-007"}


def binaries(path: Path) -> dict[str, str]:
    """Installed file name -> sha256 of every Mach-O file of a package."""
    found = {}
    with open_payload(path) as tar:
        for entry in tar:
            content = tar.extractfile(entry) if entry.isreg() else None
            if content is not None and (head := content.read(4)) == b"\xcf\xfa\xed\xfe":
                found[entry.name] = hashlib.sha256(head + content.read()).hexdigest()
    return found


def test_every_mac_binary_is_upstreams_and_finds_what_it_loads(macos, project):
    channel, _ = macos
    found = lint(channel)
    assert [str(one) for _, one in found.errors] == []
    assert {f.rule.id for _, f in found.findings() if not f.accepted} == set()
    upstream: set[str] = set()
    dropped: set[str] = set()
    cell = next(c for c in project.locked().cells if (c.line, c.subdir) == ("2.15", "osx-arm64"))
    for name, version in cell.trio.items():
        wheel = cell.wheel(name, CELLS["macos"][3])
        assert wheel is not None
        copies = bundled(cell.bundled[name], "osx-arm64", version, cell.accelerator)
        gone = {copy.member for copy in copies if copy.action != "keep"}
        with zipfile.ZipFile(place_of(wheel, project.wheelhouse)) as archive:
            for info in archive.infolist():
                content = archive.read(info)
                if content[:4] == b"\xcf\xfa\xed\xfe":
                    left = info.filename in gone or "/protoc" in info.filename
                    (dropped if left else upstream).add(hashlib.sha256(content).hexdigest())
    packaged = {
        digest: (path.name, name)
        for path in built_packages(channel)
        for name, digest in binaries(path).items()
    }
    assert packaged.keys() == upstream
    assert len(upstream) >= 12
    assert not packaged.keys() & dropped
    # every load leads to a file or link of the environment, or to the system
    paths = {name.rpartition("/")[2] for p in found.packages for name in p.report.paths}
    table = sonames("osx-arm64")
    for package in found.packages:
        for binary in package.report.binaries.values():
            for load in binary.needs:
                row = table.find(load.name)
                outside = row is not None and row.action == "system"
                assert outside or load.name.rpartition("/")[2] in paths, load.name
    providers = {
        (p.library, p.package) for package in found.packages for p in package.report.providers
    }
    assert ("libomp.dylib", "llvm-openmp") in providers
    assert ("libpng16.16.dylib", "libpng") in providers


def test_compatibility_versions_of_real_mac_libraries_set_floors(macos):
    """torchvision 0.29.2 needs libpng's compatibility version 73: 1.6.56 and no older."""
    channel, _ = macos
    package = next(p for p in lint(channel).packages if p.built.name == "torchvision")
    asked = {
        load.name.rpartition("/")[2]: load.compatibility
        for binary in package.report.binaries.values()
        for load in binary.needs
    }
    assert asked["libpng16.16.dylib"] == (73, 0, 0)
    assert "libpng >=1.6.56,<1.7" in package.built.depends
