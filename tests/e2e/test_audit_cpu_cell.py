"""The audit of the built CPU cells, the map against their wheels, and the OpenBLAS that stays."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from generator.building import place_of
from generator.channel.built import built_packages
from generator.console import Silent
from generator.errors import LinkageError
from generator.inspecting.binaries import BinaryLint, lint_binaries
from generator.inspecting.exports import compare_exports
from generator.inspecting.findings import AcceptedFinding, linkage_policy
from generator.inspecting.mapping import check_map, locked_sources
from generator.model import PythonBuild
from tests.command_line import armtorch
from tests.conftest import ARM

pytestmark = pytest.mark.e2e


def test_both_trios_have_no_open_finding_and_one_openmp_runtime(cpu_channel):
    found = lint_binaries(built_packages(cpu_channel), narrator=Silent())
    assert [str(one) for _, one in found.errors] == []
    assert len(found.trios) == 2
    assert sum(len(trio.files) for trio in found.trios) == len(found.packages)
    openmp = {
        (provider.package, provider.path)
        for package in found.packages
        for provider in package.report.providers
        if provider.library == "libgomp.so.1"
    }
    assert openmp == {("_openmp_mutex", "lib/libgomp.so.1")}
    kept = {f.name for _, f in found.findings() if f.rule.id == "L-014"}
    assert kept == {"libopenblas.so.0", "libarm_compute.so", "libarm_compute_graph.so"}
    # rows of other cells: CUDA's, and torchvision 0.16 to 0.20, which bundles an FFmpeg
    elsewhere = {("L-008", "*"), ("L-005", "*/torchvision.libs/*")}
    rows = [r for r in unmatched_policy(found) if (r.finding, r.files) not in elsewhere]
    assert rows == []


def unmatched_policy(lint: BinaryLint) -> tuple[AcceptedFinding, ...]:
    """Return policy rows for these packages that accept nothing in them: they can go."""
    found = [
        (package.built, finding) for package in lint.packages for finding in package.report.findings
    ]
    return tuple(
        row
        for row in linkage_policy().accepted
        if any(
            row.concerns(built.name, subdir=built.subdir)
            for built in (package.built for package in lint.packages)
        )
        and not any(
            row.covers(finding, package=built.name, subdir=built.subdir) for built, finding in found
        )
    )


def test_the_command_shows_what_is_accepted_and_since_when(own, cpu_channel):
    done = armtorch(
        "lint", "--binaries", "2.10/libtorch/*", "--channel", cpu_channel.root, "--json", cwd=own
    )
    assert done.returncode == 0, done.stderr
    (package,) = json.loads(done.stdout)["packages"]
    openblas = next(f for f in package["findings"] if f["name"] == "libopenblas.so.0")
    assert "sbgemm_" in openblas["accepted"]
    assert "2026-11-22" in openblas["accepted"]
    assert package["binaries"] > 5


def test_the_map_has_a_row_for_everything_in_the_wheels_at_hand(project, cpu_channel):
    """cpu_channel: its wheels are in the wheelhouse then."""
    lock = project.locked()
    lock = dataclasses.replace(
        lock,
        cells=tuple(c for c in lock.cells if c.subdir == ARM and str(c.accelerator) == "cpu"),
    )
    sources, absent = locked_sources(lock, project.wheelhouse)
    assert len(sources) >= 6
    found = check_map(sources, lock=lock, not_looked_at=absent, whole=True, narrator=Silent())
    assert found.unknown == ()


@pytest.fixture(scope="module")
def torch_wheel(project, cpu_channel) -> Path:
    cells = project.locked().cells
    cell = next(c for c in cells if (c.line, c.subdir) == ("2.10", ARM))
    wheel = cell.wheel("torch", PythonBuild(3, 11))
    assert wheel is not None
    return place_of(wheel, project.wheelhouse)


def test_the_bundled_openblas_has_what_torch_takes_and_debians_lacks_sbgemm(
    torch_wheel, cpu_channel, base
):
    """The reason why OpenBLAS stays (linkage_policy.yaml), on real files."""
    libtorch = next(cpu_channel.root.glob(f"{ARM}/libtorch-2.10.0-*.conda"))
    own = compare_exports(libtorch, torch_wheel, library="libopenblas.so.0")
    assert own.users == ("torch/lib/libtorch_cpu.so",)
    assert "sbgemm_" in own.needed
    assert len(own.needed) == 99
    own.check()
    debian = next((base.path / ARM).glob("libopenblas-*.conda"))
    other = compare_exports(debian, torch_wheel, library="libopenblas.so.0")
    assert other.needed == own.needed
    assert other.missing == ("sbgemm_",)
    with pytest.raises(LinkageError, match="it lacks sbgemm_"):
        other.check()
    done = armtorch(
        *("map", "exports", debian, "--needed-by", torch_wheel, "--library", "libopenblas.so.0")
    )
    assert done.returncode == 22
    assert "sbgemm_" in done.stdout


def test_the_base_channels_image_libraries_have_what_torchvision_takes(project, base):
    cells = project.locked().cells
    cell = next(c for c in cells if (c.line, c.subdir) == ("2.10", ARM))
    wheel = cell.wheel("torchvision", PythonBuild(3, 11))
    assert wheel is not None
    for package, library in (
        ("libjpeg-turbo", "libjpeg.so.8"),
        ("libpng", "libpng16.so.16"),
        ("libwebp-base", "libwebp.so.7"),
    ):
        path = next((base.path / ARM).glob(f"{package}-*.conda"))
        found = compare_exports(path, place_of(wheel, project.wheelhouse), library=library)
        assert found.needed
        found.check()
