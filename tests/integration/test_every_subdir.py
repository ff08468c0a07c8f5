"""From a local index through update, render, build, audit and solve, on every subdir."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile

import pytest

from generator.datafiles import subdirs
from generator.errors import SolveError
from generator.inspecting import read_binary
from generator.stages.render import render_feedstock
from generator.testing import Machine, solve
from tests.integration.small_base import write_base
from tests.integration.synthetic import Line, updated
from tests.integration.test_recipe_builds import Built
from tests.synthetic_wheels import Release
from tests.synthetic_wheels.binaries import platforms

pytestmark = pytest.mark.integration

ABIS = ("cp312", "cp314", "cp314t")
TRIO = ["pytorch", "torchvision", "torchaudio"]


@pytest.fixture(scope="module", params=platforms())
def subdir(request) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def line(subdir, tmp_path_factory) -> Line:
    release = Release(subdir=subdir, torch="2.10.0", differs=frozenset({"build-id", "build-path"}))
    return updated(tmp_path_factory.mktemp("line"), release.wheels(ABIS), subdir)


@pytest.fixture(scope="module")
def built(line) -> dict[str, Built]:
    """Every package with a wheel, by file name."""
    return {
        path.name: Built.open(path) for name in ("libtorch", *TRIO) for path in line.packages(name)
    }


def test_every_variant_is_built(line):
    assert {variant.package for variant in line.variants} == {
        *("libtorch", "pytorch-common", "pytorch", "torchvision", "torchaudio", "pytorch-cpu"),
        *("pytorch-mutex", "cpuonly", "torchaudio-torchcodec"),
    }
    assert len(list(line.channel.root.glob("*/*.conda"))) == len(line.variants)
    assert line.heard.warned == []
    assert render_feedstock(line.project, check=True).differences == ()


def test_one_libtorch_serves_the_free_threaded_build_too(line):
    (cell,) = line.cells
    assert [str(python) for python in cell.pythons()] == ["3.12", "3.14", "3.14t"]
    (libtorch,), (_common,) = line.packages("libtorch"), line.packages("pytorch-common")
    pythons = [Built.open(path).index for path in line.packages("pytorch")]
    # conda-forge's build strings look like ours: its libtorch must not do for our pytorch
    wanted = f"libtorch ==2.10.0 {libtorch.stem.rpartition('-')[2]}"
    assert [wanted in index["depends"] for index in pythons] == [True] * 3
    abis = {spec for index in pythons for spec in index["depends"] if "python_abi" in spec}
    assert abis == {f"python_abi 3.{abi[3:5]}.* *_{abi}" for abi in ABIS}
    assert libtorch.name.startswith("libtorch-2.10.0-cpu_generic_h")


def test_every_binary_is_upstreams_and_for_the_subdirs_machine(line, built, subdir):
    seen = 0
    for name, package in built.items():
        account = json.loads(package.info["info/armtorch/manifest.json"])
        for path, content in package.files.items():
            found = read_binary(io.BytesIO(content), len(content), path)
            assert {each.machine for each in found} <= {subdirs()[subdir].binary_machine}, path
            if found:
                seen += 1
                assert path in account["unchanged"], (name, path)
    assert seen > 20


def test_unchanged_files_are_the_wheels_bytes(line, built):
    wheels = {
        hashlib.sha256(content).hexdigest(): zipfile.ZipFile(io.BytesIO(content))
        for path in line.project.wheelhouse.glob("*/*.whl")
        for content in (path.read_bytes(),)
    }
    for package in built.values():
        account = json.loads(package.info["info/armtorch/manifest.json"])
        wheel = wheels[account["source"]["sha256"]]
        for path, member in account["unchanged"].items():
            assert package.files[path] == wheel.read(member), path


def test_windows_has_no_links_and_the_others_have(built, subdir):
    links = {name: package.links for name, package in built.items() if package.links}
    assert bool(links) == (subdir != "win-arm64")


def test_no_path_belongs_to_two_packages(built):
    owners: dict[str, str] = {}
    for name, package in built.items():
        if any(tag in name for tag in ("py314",)):
            continue
        for path in (*package.files, *package.links):
            folded = path.lower()
            assert owners.setdefault(folded, name) == name, path


def test_names_and_paths_can_stand_in_a_batch_file(line, built):
    plain = re.compile(r"[A-Za-z0-9._+\-/ ]+")
    for variant in line.variants:
        assert plain.fullmatch(variant.config_path), variant.config_path
        assert plain.fullmatch(variant.recipe_path)
    for name, package in built.items():
        for path in (name, *package.files):
            assert plain.fullmatch(path), path


def solved(line, subdir, base, *specs):
    machine = Machine.of(subdirs()[subdir], native=False)
    channels = [line.channel.root.as_uri(), base]
    records = solve(list(specs), channels=channels, machine=machine)
    return {record.name.normalized: str(record.build) for record in records}


@pytest.mark.parametrize("python", ["3.12", "3.14", "3.14t"])
def test_the_trio_solves_for_every_python(line, subdir, tmp_path, python):
    base = write_base(tmp_path, subdir, ["3.12", "3.14", "3.14t"])
    spec = f"python {python.removesuffix('t')}.*" + (" *_cp314t" if python == "3.14t" else "")
    if python == "3.14":
        spec += " *_cp314"
    found = solved(line, subdir, base, spec, *TRIO)
    assert {*TRIO, "libtorch", "python_abi"} <= set(found)
    assert f"_cp{python.replace('.', '')}" in found["python_abi"]
    assert ("pytorch-mutex" in found) == (subdir != "osx-arm64")


def test_a_base_channel_without_the_python_is_what_the_solver_names(line, subdir, tmp_path):
    """conda-forge's win-arm64: Python 3.14 only, and no numpy (seen in Nov 2026)."""
    base = write_base(tmp_path, subdir, ["3.14"], without=["numpy"])
    if subdir == "win-arm64":
        found = solved(line, subdir, base, "pytorch")
        assert found["pytorch"].startswith("cpu_generic_py314")
    else:
        with pytest.raises(SolveError, match="numpy"):
            solved(line, subdir, base, "pytorch")
    whole = write_base(tmp_path / "whole", subdir, ["3.14"])
    assert solved(line, subdir, whole, "pytorch")["pytorch"].startswith("cpu_generic_py314")
    with pytest.raises(SolveError, match="python"):
        solved(line, subdir, whole, "pytorch", "python 3.12.*")
    with pytest.raises(SolveError, match="numpy"):
        solved(line, subdir, base, "torchvision")
