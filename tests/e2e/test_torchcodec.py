"""torchcodec's own wheels for CUDA and for macOS: built, proven, and what they load looked at."""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from generator.channel import LocalChannel
from generator.console import Silent
from generator.inspecting.loading import expand
from generator.inspecting.proving import VerifyOptions, verify_packages
from generator.inspecting.reading import read_binary
from generator.matrix import Selection, select, variants
from generator.model import PythonBuild, Pythons
from generator.packages import known_as
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock
from tests.integration.test_recipe_builds import Built

pytestmark = [pytest.mark.e2e, pytest.mark.prove]

FEEDSTOCK = """\
channel: codecs
maintainers: [someone]
carry_armtorch: false
indexes: {pypi: {kind: pip}}
trains: {stable: {keep: [], indexes: [pypi]}}
subdirs:
  linux-aarch64: {accelerators: [cpu, cuda]}
  osx-arm64: {accelerators: [cpu]}
lines:
  # has none, so that CUDA's is called torchcodec-cuda
  - {name: ten, torch: ==2.10.0, subdirs: [linux-aarch64], accelerators: [cpu], pythons: ["3.12"]}
  - {name: two, torch: ==2.15.0, subdirs: [linux-aarch64], accelerators: [cuda], pythons: ["3.12"]}
  - {name: one, torch: ==2.15.0, subdirs: [osx-arm64], accelerators: [cpu], pythons: ["3.12"]}
companions: [torchcodec]
"""
#: what a process has that uses torchcodec: it imports torch first
TORCHS = {"libc10.dylib", "libtorch.dylib", "libtorch_cpu.dylib", "libtorch_python.dylib"}


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Built]:
    """torchvision and torchcodec of each subdir, proven; torchcodec is known by its own name."""
    root = tmp_path_factory.mktemp("codecs")
    (root / "feedstock.yaml").write_text(FEEDSTOCK)
    project = Project(feedstock=root / "feedstock.yaml", narrator=Silent())
    update_lock(project)
    render_feedstock(project)
    wanted = Selection(
        packages=("torchcodec", "torchcodec-cuda", "torchvision"),
        pythons=Pythons(only=(PythonBuild(3, 12),)),
        lines=("one", "two"),
    )
    found = select(variants(project.declared(), project.locked()), wanted)
    channel = LocalChannel(root / "channel")
    options = BuildOptions(channel=channel, jobs=1, level=1)
    build_variants(project, found, options).raise_for_failures()
    files = sorted(channel.root.glob("*/*.conda"))
    assert {each.verdict for each in verify_packages(project, files, VerifyOptions())} == {"proven"}
    return {
        (path.parent.name, known_as(path.name.rsplit("-", 2)[0])): Built.open(path)
        for path in files
    }


@pytest.fixture
def packages(every: dict[tuple[str, str], Built]) -> dict[str, Built]:
    """torchcodec of each subdir."""
    return {subdir: built for (subdir, name), built in every.items() if name == "torchcodec"}


SUBDIRS = ("linux-aarch64", "osx-arm64")


@pytest.mark.parametrize("subdir", SUBDIRS)
def test_it_has_the_libraries_for_the_bases_ffmpeg_and_owns_nothing_else(packages, subdir) -> None:
    built = packages[subdir]
    own = {Path(path).name.partition(".")[0] for path in built.files if "libtorchcodec_" in path}
    kinds = {"core8", "custom_ops8", "pybind_ops", "image", "heic"}
    assert own == {f"libtorchcodec_{kind}" for kind in kinds}
    assert "ffmpeg >=8,<9" in built.index["depends"]
    # no path that a package of the base channel could have
    assert all(path.startswith("site-packages/torchcodec") for path in (*built.files, *built.links))


@pytest.mark.parametrize("subdir", SUBDIRS)
def test_the_image_libraries_are_the_environments(packages, subdir) -> None:
    built = packages[subdir]
    folder = "torchcodec.libs/" if subdir == "linux-aarch64" else "/.dylibs/"
    led = {Path(target).name for path, target in built.links.items() if folder in path}
    linux = {"libjpeg.so.8", "libpng16.so.16", "libwebp.so.7", "libwebpdemux.so.2", "libavif.so.16"}
    linux |= {"libsharpyuv.so.0", "libnvjpeg.so.13"}
    mac = {f"lib{name}.dylib" for name in ("jpeg.8", "png16.16", "webp.7", "webpdemux.2")}
    mac |= {f"lib{name}.dylib" for name in ("avif.16", "sharpyuv.0", "z.1", "c++.1")}
    assert led == (linux if subdir == "linux-aarch64" else mac)


@pytest.mark.parametrize("subdir", SUBDIRS)
def test_torchvision_and_it_have_one_copy_of_each_image_library(every, subdir) -> None:
    """All names under which the two load it lead to one file, the environment's."""
    family = re.compile(r"lib(jpeg|png16|webp|sharpyuv|nvjpeg|z)[.-]")
    seen: dict[str, set[str]] = {}
    for name in ("torchvision", "torchcodec"):
        built = every[subdir, name]
        assert not [path for path in built.files if family.match(Path(path).name)]
        for path, target in built.links.items():
            if found := family.match(Path(path).name):
                led = posixpath.normpath(f"lib/python3.12/{posixpath.dirname(path)}/{target}")
                seen.setdefault(found[1], set()).add(led)
    assert {"jpeg", "png16", "webp"} <= seen.keys()
    for paths in seen.values():
        assert len(paths) == 1, paths
        assert {posixpath.dirname(path) for path in paths} == {"lib"}


def test_cudas_name_hides_no_torchcodec_of_the_base_channel(packages) -> None:
    index = packages["linux-aarch64"].index
    assert (index["name"], index["constrains"]) == ("torchcodec-cuda", ["torchcodec <0.0a0"])
    assert packages["osx-arm64"].index["name"] == "torchcodec"


def test_homebrews_ffmpeg_has_no_say_on_macos(packages) -> None:
    """dyld takes what is loaded under the same @rpath name before it looks into any folder.

    Source: dyld-1378, Loader.cpp, getLoader ("for @rpath paths, first check if already loaded").
    """
    built = packages["osx-arm64"]
    module = "site-packages/torchcodec/_internally_replaced_utils.py"
    opened = list(_opened_first(built.files[module].decode()))
    assert {path.parent.as_posix() for path in opened} == {"/env/lib"}
    loaded = TORCHS | {path.name for path in opened}
    strange = []
    for path in ("core8", "custom_ops8"):  # in the order in which they are opened
        name = f"libtorchcodec_{path}.dylib"
        content = built.files[f"site-packages/torchcodec/{name}"]
        (binary,) = read_binary(io.BytesIO(content), len(content), name, seeks=True)
        assert [expand(f, "site-packages/torchcodec") for f in binary.rpath] == [None]
        needs = [load.name for load in binary.needs if load.name.startswith("@rpath/")]
        strange += [need for need in needs if need.rpartition("/")[2] not in {*loaded, name}]
        loaded.add(name)
    assert strange == []


def _opened_first(text: str) -> Iterator[Path]:
    """Run the lines that the patch added, in an environment of the name /env."""
    found = re.search(r"(?m)^    import ctypes\n\n(?:    .*\n)+?(?=    exceptions = )", text)
    assert found is not None
    lines = re.sub("(?m)^    ", "", found[0]).replace("import ctypes\n", "")
    opened: list[Path] = []
    names: dict[str, Any] = {
        "ctypes": SimpleNamespace(CDLL=lambda path: opened.append(Path(path))),
        "Path": Path,
        "__file__": "/env/lib/python3.12/site-packages/torchcodec/_internally_replaced_utils.py",
    }
    exec(lines, names)  # noqa: S102 - the package's own code
    return iter(opened)
