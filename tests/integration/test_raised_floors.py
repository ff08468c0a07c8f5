"""Wheels whose binaries need a newer system than their tags say: what becomes of the packages."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from generator.building import file_name
from generator.inspecting import Proof, contents, pieces, tar
from generator.inspecting.proving import VerifyOptions, verify_packages
from generator.stages.build import BuildOptions, build_variants
from tests.command_line import armtorch
from tests.integration.synthetic import Line, updated
from tests.integration.test_recipe_builds import Built
from tests.packages import MANIFEST, Parts
from tests.synthetic_wheels import Release, corrupt

pytestmark = pytest.mark.integration

ARM = "linux-aarch64"
INDEX = "info/index.json"
FLOOR = {
    "package": "__glibc",
    "stated": "2.28",
    "needed": "2.39",
    "file": "lib/libtorch_cpu.so",
}


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> Line:
    wheel = Release(subdir=ARM, torch="2.10.0").wheel("torch", "cp312")
    folder = tmp_path_factory.mktemp("line")
    return updated(folder, [corrupt(wheel, "floor-above-tag")], ARM)


@pytest.fixture(scope="module")
def libtorch(line: Line) -> Path:
    (path,) = line.packages("libtorch")
    return path


def proof(line: Line, package: Path) -> Proof:
    (found,) = verify_packages(line.project, [package], VerifyOptions())
    return found


def floors(package: Path) -> list[str]:
    return [spec for spec in Built.open(package).index["depends"] if spec.startswith("__glibc")]


def test_the_package_says_why_it_asks_for_more_than_its_recipe(line, libtorch):
    assert json.loads(Built.open(libtorch).info[MANIFEST])["floor"] == FLOOR
    found = proof(line, libtorch)
    assert (found.verdict, found.flaws) == ("proven", ())
    assert found.floor is not None
    assert str(found.floor) == ("__glibc raised from 2.28 to 2.39, which lib/libtorch_cpu.so needs")


def test_packages_that_need_no_more_than_the_tag_says_are_as_ever(line):
    (pytorch,) = line.packages("pytorch")
    assert floors(pytorch) == ["__glibc >=2.28"]
    assert "floor" not in json.loads(Built.open(pytorch).info[MANIFEST])
    assert proof(line, pytorch).floor is None


def test_it_is_found_wherever_in_a_binary_it_stands(line, libtorch, tmp_path, monkeypatch):
    """Of a large one its ends are kept; what needs more of it has the package read again."""
    monkeypatch.setattr(pieces, "_FRONT", 1)
    monkeypatch.setattr(pieces, "_END", 0)
    monkeypatch.setattr(tar, "CHUNK", 64)
    again: list[set[str]] = []
    looked = contents._look_again

    def look(package, audit, missed):
        again.append(missed)
        looked(package, audit, missed)

    monkeypatch.setattr(contents, "_look_again", look)
    found = proof(line, libtorch)
    assert (found.verdict, found.flaws) == ("proven", ())
    assert FLOOR["file"] in again[0]


def test_verify_and_lint_say_it_too(line, libtorch):
    where = ["--feedstock", line.project.feedstock]
    done = armtorch(*where, "verify", "--json", libtorch)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["raised_floor"] == FLOOR
    assert "__glibc raised from 2.28 to 2.39" in armtorch(*where, "verify", libtorch).stdout
    done = armtorch("lint", "--binaries", libtorch)
    assert done.returncode == 0, done.stdout


def test_build_prints_it_and_gives_it_as_json(line, tmp_path):
    # the command's own cache is the user's
    (tmp_path / "armtorch").symlink_to(line.project.cache)
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    arguments = ["--feedstock", line.project.feedstock, "build", "*/libtorch/*"]
    done = armtorch(*arguments, "--out", tmp_path / "channel", env=env)
    assert done.returncode == 0, done.stderr
    assert "built, __glibc raised from 2.28 to 2.39" in done.stdout
    done = armtorch(*arguments, "--out", tmp_path / "channel", "--json", "--force", env=env)
    (row,) = json.loads(done.stdout)["variants"]
    assert row["raised_floor"] == FLOOR


def test_the_same_bytes_and_the_same_name_come_of_it_again(line, libtorch, tmp_path):
    """The name is known before the wheel is read; CI's other jobs go by it."""
    (variant,) = (each for each in line.variants if each.package == "libtorch")
    assert libtorch.name == file_name(variant, line.project.root)
    channel = type(line.channel)(tmp_path)
    options = BuildOptions(channel=channel, jobs=1, level=1)
    build_variants(line.project, [variant], options).raise_for_failures()
    assert (tmp_path / ARM / libtorch.name).read_bytes() == libtorch.read_bytes()


def lowered(index: dict[str, Any], manifest: dict[str, Any]) -> None:
    index["depends"] = [spec.replace("2.39", "2.28") for spec in index["depends"]]


def forgotten(index: dict[str, Any], manifest: dict[str, Any]) -> None:
    del manifest["floor"]


def invented(index: dict[str, Any], manifest: dict[str, Any]) -> None:
    index["depends"] = [spec.replace("2.39", "2.99") for spec in index["depends"]]
    manifest["floor"] = {**FLOOR, "needed": "2.99"}


def of_another_file(index: dict[str, Any], manifest: dict[str, Any]) -> None:
    manifest["floor"] = {**FLOOR, "file": "lib/libc10.so"}


def not_raised(index: dict[str, Any], manifest: dict[str, Any]) -> None:
    manifest["floor"] = {**FLOOR, "stated": "2.39"}


def stated_otherwise(index: dict[str, Any], manifest: dict[str, Any]) -> None:
    manifest["floor"] = {**FLOOR, "stated": "2.17"}


def of_another_system(index: dict[str, Any], manifest: dict[str, Any]) -> None:
    index["depends"] = [spec.replace("2.39", "2.28") for spec in index["depends"]]
    index["depends"].append("__osx >=2.39")
    manifest["floor"] = {**FLOOR, "package": "__osx", "stated": ""}


def lowered_and_forgotten(index: dict[str, Any], manifest: dict[str, Any]) -> None:
    """As if nothing needed more than the tag says: what only the binaries can contradict."""
    lowered(index, manifest)
    forgotten(index, manifest)


@pytest.mark.parametrize(
    ("spoil", "file"),
    [
        (lowered, INDEX),
        (forgotten, MANIFEST),
        (lowered_and_forgotten, INDEX),
        (invented, MANIFEST),
        (of_another_file, MANIFEST),
        (not_raised, MANIFEST),
        (stated_otherwise, MANIFEST),
        (of_another_system, MANIFEST),
    ],
)
def test_verify_refutes_a_floor_that_is_not_so(line, libtorch, tmp_path, spoil, file):
    parts = Parts.read(libtorch)
    index, manifest = parts.json(INDEX), parts.json(MANIFEST)
    spoil(index, manifest)
    parts.put_json(INDEX, index)
    parts.put_json(MANIFEST, manifest)
    parts.seal_info()
    found = proof(line, parts.write(tmp_path))
    assert found.verdict == "refuted"
    assert file in {flaw.file for flaw in found.flaws}, found.flaws


@pytest.mark.parametrize(
    ("release", "wanted", "raised"),
    [
        # Jetson's tag promises nothing
        ({"tag": "linux_aarch64"}, ["__glibc >=2.28"], ""),
        ({"tag": "manylinux_2_39_aarch64"}, ["__glibc >=2.39"], None),
    ],
)
def test_a_tag_that_says_nothing_and_one_that_says_too_much(release, wanted, raised, tmp_path):
    wheel = Release(subdir=ARM, torch="2.10.0", **release).wheel("torch", "cp312")
    line = updated(tmp_path, [wheel], ARM, packages=["libtorch"])
    (package,) = line.packages("libtorch")
    assert floors(package) == wanted
    (row,) = line.report.rows
    assert (row.floor.stated if row.floor else None) == raised
    assert not proof(line, package).flaws
