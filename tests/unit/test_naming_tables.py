from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from generator import datafiles
from generator.datafiles import DATA, subdirs
from generator.errors import AbsentError, DataError, MalformedError
from generator.model import Accelerator
from generator.naming import (
    bundled,
    floor,
    library_depends,
    needed_libraries,
    plain_names,
    soname_table,
    sonames,
    virtual_packages,
)

ARM = subdirs()["linux-aarch64"]
MAC = subdirs()["osx-arm64"]
WIN = subdirs()["win-arm64"]
CPU = Accelerator.parse("cpu")
CUDA = Accelerator.parse("cuda130")


@pytest.mark.parametrize(
    ("tags", "subdir", "accelerator", "expected"),
    [
        (("manylinux_2_28_aarch64",), ARM, CPU, ("__glibc >=2.28",)),
        (("manylinux_2_28_aarch64",), ARM, CUDA, ("__glibc >=2.28", "__cuda >=13")),
        # triton 3.8.0: either tag admits the wheel
        (("manylinux_2_27_aarch64", "manylinux_2_28_aarch64"), ARM, CPU, ("__glibc >=2.27",)),
        (("manylinux2014_aarch64",), ARM, CPU, ("__glibc >=2.17",)),
        (("linux_aarch64",), ARM, CPU, ()),
        (("linux_aarch64", "manylinux_2_28_aarch64"), ARM, CPU, ()),
        (("macosx_14_0_arm64",), MAC, CPU, ("__osx >=14.0",)),
        (("macosx_11_0_universal2",), MAC, CPU, ("__osx >=11.0",)),
        (("win_arm64",), WIN, CPU, ("__win",)),
    ],
)
def test_tags_stand_for_virtual_packages(tags, subdir, accelerator, expected) -> None:
    assert virtual_packages(tags, subdir=subdir, accelerator=accelerator) == expected


def test_a_tag_of_another_platform_is_refused() -> None:
    with pytest.raises(MalformedError, match="manylinux_2_28_x86_64"):
        floor(("manylinux_2_28_x86_64",), subdir=ARM)


@pytest.mark.parametrize(
    ("member", "subdir", "version", "action", "target"),
    [
        ("torchvision.libs/libjpeg.9664032d.so.8", ARM, "0.25.0", "unvendor", "lib/libjpeg.so.8"),
        ("torchvision.libs/libz.578d4a57.so.1", ARM, "0.25.0", "unvendor", "lib/libz.so.1"),
        ("torchvision.libs/ld-linux-aarch64.5cbc5e90.so.1", ARM, "0.25.0", "drop", None),
        (
            "torchvision.libs/libcudart.3eda8113.so.13",
            ARM,
            "0.29.2",
            "unvendor",
            "lib/libcudart.so.13",
        ),
        ("torch/lib/libgomp.so.1", ARM, "2.10.0", "unvendor", "lib/libgomp.so.1"),
        ("torch.libs/libgomp-947d5fa1.so.1.0.0", ARM, "2.8.0", "unvendor", "lib/libgomp.so.1"),
        ("torch/lib/libgfortran.so.5", ARM, "2.10.0", "unvendor", "lib/libgfortran.so.5"),
        ("torch/lib/libgfortran.so.5", ARM, "2.14.1", "drop", None),
        ("torch/lib/libopenblas-24fd393f.so.0", ARM, "2.10.0", "keep", None),
        ("torch.libs/libarm_compute-c75bcc00.so", ARM, "2.8.0", "keep", None),
        ("torch.libs/libarm_compute_graph-91f54ff9.so", ARM, "2.8.0", "keep", None),
        ("torch/lib/libtorchbind_test.so", ARM, "2.10.0", "drop", None),
        ("torch/lib/libomp.dylib", MAC, "2.15.0", "unvendor", "lib/libomp.dylib"),
        (
            "torchvision/.dylibs/libjpeg.8.3.2.dylib",
            MAC,
            "0.29.2",
            "unvendor",
            "lib/libjpeg.8.dylib",
        ),
        (
            "torchvision/.dylibs/libwebp.7.2.0.dylib",
            MAC,
            "0.29.2",
            "unvendor",
            "lib/libwebp.7.dylib",
        ),
        ("torchaudio/.dylibs/libc++.1.0.dylib", MAC, "2.11.0", "unvendor", "lib/libc++.1.dylib"),
    ],
)
def test_real_members_are_recognised(member, subdir, version, action, target) -> None:
    (found,) = bundled([member], subdir.name, version, CUDA)
    assert (found.member, found.action) == (member, action)
    assert (found.dependency is not None) == (action == "unvendor")
    assert target in {None, found.library.target}
    assert found.library.note or target


@pytest.mark.parametrize("subdir", [ARM, MAC, WIN], ids=str)
def test_a_wheel_for_any_platform_is_left_to_the_base_channel(subdir) -> None:
    with pytest.raises(AbsentError, match="any platform") as refused:
        virtual_packages(("any",), subdir=subdir, accelerator=CPU)
    assert "docs/companions.md" in refused.value.next_step


def test_the_fortran_runtime_stays_linked_where_openblas_asks_for_it() -> None:
    """CUDA builds from 2.11 on have NVPL, and a copy that nobody needs."""
    for accelerator, action in ((CPU, "unvendor"), (CUDA, "drop")):
        (found,) = bundled(["torch/lib/libgfortran.so.5"], ARM.name, "2.13.0+cpu", accelerator)
        assert found.action == action


def test_torchs_own_libraries_are_not_bundled_ones() -> None:
    own = ["torch/lib/libtorch_cpu.so", "torch/lib/libomp.dylib", "torchvision/_C.so"]
    assert bundled(own, "linux-aarch64", "2.10.0", CPU) == ()


def test_the_systems_loader_stays_with_those_that_ask_for_it_by_its_mangled_name() -> None:
    loader = "torchvision.libs/ld-linux-aarch64.514b5772.so.1"
    image = ["torchvision.libs/libjpeg.37fe311b.so.8", "torchvision.libs/libz.c86ac46c.so.1"]
    actions = {
        copy.member: copy.action for copy in bundled([loader, *image], ARM.name, "0.18.1", CPU)
    }
    assert actions == {loader: "drop", **dict.fromkeys(image, "unvendor")}
    # FFmpeg 4 of torchvision 0.16 to 0.20, which no row knows: it stays, and needs the loader
    ffmpeg = "torchvision.libs/libavcodec.2aeefbb0.so.58"
    found = bundled([loader, *image, ffmpeg], ARM.name, "0.18.1", CPU)
    actions = {copy.member: copy.action for copy in found}
    assert actions == {loader: "keep", **dict.fromkeys(image, "unvendor")}


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        (
            "torch.libs/libgomp-d22c30c5.so.1.0.0",
            ("libgomp.so.1.0.0", "libgomp.so.1.0", "libgomp.so.1"),
        ),
        ("torch.libs/libarm_compute-7b943f51.so", ("libarm_compute.so",)),
        ("torchvision.libs/libjpeg.9664032d.so.8", ("libjpeg.so.8",)),
        ("torchvision/.dylibs/libc++.1.0.dylib", ("libc++.1.0.dylib", "libc++.1.dylib")),
        ("/DLC/functorch/.dylibs/libomp.dylib", ("libomp.dylib",)),
        ("msvcp140-d64049c6e3865410a7dda6a7e9f0c575.dll", ("msvcp140.dll",)),
        # another number of the ABI is another library
        ("libwebp.4a54d2c8.so.4", ("libwebp.so.4",)),
        ("libjpeg.9.dylib", ("libjpeg.9.dylib",)),
        # eight letters that are no digits of a hash, and fewer
        ("libarm_compute_graph.so", ("libarm_compute_graph.so",)),
        ("libfoo-abc.so", ("libfoo-abc.so",)),
    ],
)
def test_what_wheel_tools_did_to_names_is_undone(name, plain) -> None:
    assert plain_names(name) == plain
    assert plain_names(plain[0]) == plain


def test_one_row_serves_every_release() -> None:
    arm, mac = sonames("linux-aarch64"), sonames("osx-arm64")
    for names, table, row in (
        # torch 2.0.1, 2.5.1, 2.9.1 and 2.10.0
        (
            ["libgomp-d22c30c5.so.1.0.0", "libgomp-f3febf51.so.1.0.0", "libgomp.so.1"],
            arm,
            "libgomp.so.1",
        ),
        (
            ["libopenblasp-r0-85d5f42e.3.25.so", "libopenblas-24fd393f.so.0"],
            arm,
            "libopenblas.so.0",
        ),
        # torch 2.2.2, 2.5.1 and 2.9.1: install names
        (["/DLC/functorch/.dylibs/libomp.dylib", "@rpath/libomp.dylib"], mac, "libomp.dylib"),
        (["/opt/homebrew/opt/libomp/lib/libomp.dylib"], mac, "libomp.dylib"),
        (["/DLC/torchvision/.dylibs/libz.1.2.13.dylib", "libz.1.3.2.dylib"], mac, "libz.1.dylib"),
    ):
        for name in names:
            found = table.identify(name)
            assert found is not None, name
            assert found.name == row
    assert arm.identify("torchvision.libs/libwebp.4a54d2c8.so.4") is None
    assert mac.identify("torchvision/.dylibs/libjpeg.9.dylib") is None
    # what a binary asks for the loader takes as it is
    assert arm.find("libgomp-d22c30c5.so.1.0.0") is None


def test_names_are_found_as_binaries_write_them() -> None:
    arm, mac = sonames("linux-aarch64"), sonames("osx-arm64")
    assert arm.find("libgomp.so.1").package == "_openmp_mutex"  # type: ignore[union-attr]
    assert arm.find("libcublasLt.so.13").package == "libcublas"  # type: ignore[union-attr]
    assert arm.find("libavutil.so.56") is None
    assert arm.find("libomp.dylib") is None
    assert mac.find("@loader_path/libomp.dylib").package == "llvm-openmp"  # type: ignore[union-attr]
    assert mac.find("/opt/homebrew/opt/libomp/lib/libomp.dylib").package == "llvm-openmp"  # type: ignore[union-attr]
    # macOS has its own libc++, conda another: the path says which is meant
    assert mac.find("/usr/lib/libc++.1.dylib").action == "system"  # type: ignore[union-attr]
    assert mac.find("@loader_path/.dylibs/libc++.1.0.dylib").package == "libcxx"  # type: ignore[union-attr]
    assert arm.provided_by("lib/libz.so.1").package == "libzlib"  # type: ignore[union-attr]
    assert arm.provided_by("lib/libtorch.so") is None


def test_what_packages_need_is_known_without_their_binaries() -> None:
    def depends(package: str, version: str, accelerator: Accelerator) -> list[str]:
        return [
            d.spec
            for d in library_depends(
                package, version=version, subdir="linux-aarch64", accelerator=accelerator
            )
        ]

    assert depends("libtorch", "2.10.0", CPU) == ["libstdcxx >=13", "libgcc >=13"]
    copies = bundled(
        ["torch/lib/libgomp.so.1", "torch/lib/libgfortran.so.5"], ARM.name, "2.10.0", CPU
    )
    found = library_depends(
        "libtorch", version="2.10.0", subdir=ARM.name, accelerator=CPU, copies=copies
    )
    assert [each.spec for each in found] == [
        "libgfortran5",
        "_openmp_mutex >=4.5",
        "libstdcxx >=13",
        "libgcc >=13",
    ]
    assert depends("torchaudio", "2.10.0", CPU) == ["libstdcxx >=13", "libgcc >=13"]
    assert depends("torchaudio", "2.8.0", CPU)[0] == "_openmp_mutex >=4.5"
    images = [f"torchvision.libs/{name}" for name in ("libwebp.so.7", "libsharpyuv.so.0")]
    found = library_depends(
        "torchvision",
        version="0.25.0",
        subdir=ARM.name,
        accelerator=CPU,
        copies=bundled(images, ARM.name, "0.25.0", CPU),
    )
    assert [each.spec for each in found].count("libwebp-base >=1.6.0,<2") == 1
    assert "cuda-cudart >=13.0,<14" in depends("torchaudio", "2.11.0", CUDA)
    # Jetson's own builds ask for less, and its boards' conda packages have no NCCL
    for name, there in (("cuda126", True), ("cuda126-tegra", False)):
        specs = depends("pytorch", "2.15.0+cu126", Accelerator.parse(name))
        assert any(spec.startswith("nccl ") for spec in specs) is there
    assert needed_libraries("cpuonly", version="1", subdir="linux-aarch64", accelerator=CPU) == ()
    # release candidates count as their release's line
    assert depends("libtorch", "2.14.0rc1", CUDA) == depends("libtorch", "2.14.1", CUDA)


def _reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change) -> None:
    yaml = YAML(typ="safe")
    content = yaml.load((DATA / "sonames.yaml").read_text(encoding="utf-8"))
    change(content)
    with (tmp_path / "sonames.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(content, stream)
    monkeypatch.setattr(datafiles, "DATA", tmp_path)
    soname_table._tables.__wrapped__()


def _library(content, name):
    return next(row for row in content["libraries"] if row["name"] == name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["libraries"].append(_library(c, "libz.so.1")), "libz.so.1 has two rows"),
        (lambda c: _library(c, "libz.so.1").update(action="unbundle"), "action"),
        (lambda c: _library(c, "libz.so.1").update(spec="libzlib >>1"), "not a MatchSpec"),
        (lambda c: _library(c, "libz.so.1").update(subdirs=["linux-arm64"]), "unknown subdir"),
        (lambda c: _library(c, "libz.so.1").pop("spec"), "spec goes with the action unvendor"),
        (lambda c: _library(c, "libz.so.1").update(colour="red"), "colour"),
        (
            lambda c: _library(c, "libgfortran.so.5")["copies"][0].update(versions="2.x"),
            "version specifier",
        ),
        (
            lambda c: c["needs"][0]["libraries"].append("libtorch.so"),
            "no package provides libtorch.so",
        ),
        (lambda c: c["needs"][0].update(subdir="linux-arm64"), "unknown subdir"),
        (lambda c: c.update(format=2), "format"),
    ],
)
def test_a_broken_row_is_named(tmp_path, monkeypatch, change, message) -> None:
    subdirs()
    with pytest.raises(DataError, match=message):
        _reload(tmp_path, monkeypatch, change)


def test_a_library_that_no_row_knows_is_left_to_the_audit(tmp_path, monkeypatch) -> None:
    def change(content: dict[str, Any]) -> None:
        content["needs"][0]["libraries"].append("libnope.so")

    _reload(tmp_path, monkeypatch, change)


def test_every_need_of_the_committed_table_has_its_row() -> None:
    content = YAML(typ="safe").load((DATA / "sonames.yaml").read_text(encoding="utf-8"))
    known = {
        (row["name"], subdir)
        for row in content["libraries"]
        for subdir in row["subdirs"]
        if "spec" in row
    }
    for need in content["needs"]:
        assert {(name, need["subdir"]) for name in need["libraries"]} <= known, need


def test_the_committed_table_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _reload(tmp_path, monkeypatch, lambda _content: None)
