"""Rendered recipes around tiny wheels, built by rattler-build itself, and what is in the packages.

rattler-build runs in a process of its own that imports nothing of armtorch.
"""

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard

from generator.rendering import number_builds, render, write_tree
from tests.locks import Shelf, cpu_cell, cuda_cell, feedstock, osx_cell

pytestmark = pytest.mark.integration

PLAIN = """
import sys
from rattler_build import (JinjaConfig, PlatformConfig, RenderConfig, Stage0Recipe,
                           ToolConfiguration, VariantConfig)
assert not any(name.startswith("generator") for name in sys.modules)
out, recipe, subdir, config = sys.argv[1:]
platform = PlatformConfig(target_platform=subdir, host_platform=subdir)
variants = VariantConfig.from_file_with_context(config, JinjaConfig(platform))
for rendered in Stage0Recipe.from_file(recipe).render(variants, RenderConfig(platform)):
    rendered.run_build(ToolConfiguration(test_strategy="skip"), output_dir=out, channels=[])
"""


@dataclass
class Built:
    """What is in a package."""

    index: dict[str, Any]
    info: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> "Built":
        built = cls(index={})
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if not name.endswith(".tar.zst"):
                    continue
                stream = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(archive.read(name)))
                with tarfile.open(fileobj=stream, mode="r|") as tar:
                    for member in tar:
                        if member.issym():
                            built.links[member.name] = member.linkname
                        elif member.isfile():
                            file = tar.extractfile(member)
                            assert file is not None
                            where = built.info if name.startswith("info-") else built.files
                            where[member.name] = file.read()
        built.index = json.loads(built.info["info/index.json"])
        return built


def build(root: Path, out: Path, recipe: str, subdir: str, config: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            PLAIN,
            str(out),
            str(root / recipe),
            subdir,
            str(root / config),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        # a fresh Debian has python3 only; the recipe's interpreter is called python
        env={
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(out),
        },
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def channel(tmp_path_factory):
    """Every package of three cells, each built from its variant config."""
    root, out = tmp_path_factory.mktemp("repo"), tmp_path_factory.mktemp("out")
    shelf = Shelf(root / "wheelhouse")
    cells = cpu_cell(shelf), cuda_cell(shelf), osx_cell(shelf, "9.2", "9.2.0")
    declared = feedstock()
    lock = number_builds(declared, shelf.lock(*cells), None)
    tree = render(declared, lock)
    write_tree(tree, root)
    for variant in tree.variants:
        build(root, out, variant.recipe_path, variant.subdir, variant.config_path)
    return root, out, tree


@pytest.fixture(scope="module")
def packages(channel):
    _, out, _ = channel
    return {
        (path.parent.name, *path.name.removesuffix(".conda").rsplit("-", 2)): Built.open(path)
        for path in sorted(out.glob("*/*.conda"))
    }


def only(packages, subdir, name, prefix) -> Built:
    found = [
        built
        for (where, package, _, build), built in packages.items()
        if (where, package) == (subdir, name) and build.startswith(prefix)
    ]
    assert len(found) == 1, [key for key in packages if key[1] == name]
    built: Built = found[0]
    return built


def test_every_variant_gives_one_package(channel, packages):
    _, _, tree = channel

    assert len(packages) == len(tree.variants)


def test_build_strings_are_those_of_conda_forge(packages):
    shapes = {
        "libtorch": r"(cpu|cuda130)_generic_h[0-9a-f]{7}_(0|200)",
        "pytorch-common": r"(cpu|cuda130)_generic_h[0-9a-f]{7}_(0|200)",
        "pytorch": r"(cpu|cuda130)_generic_py3\d+_h[0-9a-f]{7}_(0|200)",
        "torchvision": r"(cpu|cuda130)_py3\d*_h[0-9a-f]{7}_(0|200)",
        "torchaudio": r"(cpu|cuda130)_py3\d+_h[0-9a-f]{7}_(0|200)",
        "pytorch-cpu": r"cpu_generic_h[0-9a-f]{7}_0",
        "pytorch-gpu": r"cuda130_generic_h[0-9a-f]{7}_200",
        "pytorch-mutex": r"cpu|cuda",
        "cpuonly": r"0",
        "torchaudio-torchcodec": r"with_100|without_0",
        "pytorch-cuda": r"h[0-9a-f]{7}_0",
    }
    for _, name, _, build in packages:
        assert re.fullmatch(shapes[name], build), (name, build)
        assert ("cuda" in build) == (build.endswith("_200") or build == "cuda")


def test_pytorch_takes_its_own_shared_packages_and_no_others(packages):
    for (_, name, version, build), built in packages.items():
        accelerator = build.split("_")[0]
        number = build.rpartition("_")[2]
        exact = f"=={version} {accelerator}_generic_*_{number}"
        if name in {"pytorch", "pytorch-common"}:
            # by the hash of a build that is there: conda-forge's strings look the same
            (asked,) = [s.split()[2] for s in built.index["depends"] if s.startswith("libtorch ")]
            assert asked in {b for _, n, v, b in packages if (n, v) == ("libtorch", version)}
            assert asked.startswith(f"{accelerator}_generic_h")
            assert asked.endswith(f"_{number}")
        if name == "pytorch":
            assert f"pytorch-common {exact}" in built.index["depends"]


def test_companions_take_pytorch_of_their_accelerator(packages):
    for (_, name, _, build), built in packages.items():
        if name in {"torchvision", "torchaudio"}:
            [pin] = [d for d in built.index["depends"] if d.startswith("pytorch ")]
            assert pin.split(" ", 1)[1] in {
                f"=={version} {build.split('_')[0]}_*" for version in ("9.1.0", "9.2.0")
            }


def test_the_cpu_and_the_cuda_build_cannot_be_mixed(packages):
    cpu = only(packages, "linux-aarch64", "pytorch", "cpu_generic_py311_")
    cuda = only(packages, "linux-aarch64", "pytorch", "cuda130_generic_py311_")

    assert "pytorch-mutex ==1.0 cpu" in cpu.index["depends"]
    assert "pytorch-mutex ==1.0 cuda" in cuda.index["depends"]
    assert "__cuda >=13" in cuda.index["depends"]
    assert {"pytorch-gpu <0.0a0", "pytorch-cpu ==9.1.0", "pytorch-cuda <0.0a0"} == set(
        cpu.index["constrains"]
    )
    assert {
        "pytorch-cpu <0.0a0",
        "pytorch-gpu ==9.1.0",
        "cpuonly <0.0a0",
        "pytorch-cuda 13.0.*",
    } == set(cuda.index["constrains"])


def test_the_mutex_is_the_old_channels(packages):
    cpu = only(packages, "noarch", "pytorch-mutex", "cpu")
    cuda = only(packages, "noarch", "pytorch-mutex", "cuda")
    cpuonly = only(packages, "noarch", "cpuonly", "")

    assert (cpu.index["build_number"], cuda.index["build_number"]) == (0, 100)
    assert cpu.index["track_features"]
    assert "track_features" not in cuda.index
    assert cpuonly.index["track_features"]
    assert cpuonly.index["depends"] == ["pytorch-mutex ==1.0 cpu"]


def test_python_packages_are_placed_by_the_client(packages):
    """CEP 20: a noarch link type in a package of a platform, for every Python build alike."""
    for python in ("311", "312", "314"):
        built = only(packages, "linux-aarch64", "pytorch", f"cpu_generic_py{python}_")
        link = json.loads(built.info["info/link.json"])
        assert link["noarch"]["type"] == "python"
        assert link["noarch"]["entry_points"] == ["torchrun = torch.distributed.run:main"]
        assert "site-packages/torch/_C.cpython-" in "\n".join(built.files)
        assert not any("python3" in path for path in [*built.files, *built.links])
    common = only(packages, "linux-aarch64", "pytorch-common", "cpu_generic_")
    assert json.loads(common.info["info/link.json"])["noarch"]["type"] == "python"
    assert "site-packages/torch/__init__.py" in common.files
    assert not any("python3" in path for path in [*common.files, *common.links])
    free = only(packages, "linux-aarch64", "pytorch", "cpu_generic_py314_")
    assert "python_abi 3.14.* *_cp314t" in free.index["depends"]


def test_links_lead_out_of_site_packages_to_their_owner(packages):
    pytorch = only(packages, "linux-aarch64", "pytorch", "cpu_generic_py311_")
    libtorch = only(packages, "linux-aarch64", "libtorch", "cpu_")
    account = json.loads(pytorch.info["info/armtorch/manifest.json"])["linked"]

    assert set(pytorch.links) == set(account)
    for path, target in pytorch.links.items():
        site = "/".join(["lib", "python3.11", *path.split("/")])
        resolved = os.path.normpath(os.path.join(os.path.dirname(site), target))  # noqa: PTH118, PTH120
        assert resolved == account[path]["to"]
        if account[path]["of"] == "libtorch":
            assert resolved in libtorch.files or any(
                file.startswith(f"{resolved}/") for file in libtorch.files
            )


def test_no_path_belongs_to_two_packages_of_a_cell(packages):
    for subdir, prefix in (
        ("linux-aarch64", "cpu"),
        ("linux-aarch64", "cuda130"),
        ("osx-arm64", "cpu"),
    ):
        owners: dict[str, str] = {}
        for (where, name, _, build), built in packages.items():
            per_python = "_py3" in build and not build.split("_py3")[1].startswith(("_", "11"))
            if where != subdir or not build.startswith(prefix) or per_python:
                continue
            for path in (*built.files, *built.links):
                assert owners.setdefault(path, name) == name, path


def test_no_path_is_one_of_the_base_channels(packages):
    """What lay in the way of conda-forge's packages at the first try."""
    foreign = (
        "bin/protoc",
        "include/pybind11",
        "include/fmt",
        "include/google",
        "include/dnnl",
        "include/sleef",
        "include/omp.h",
        "lib/libgomp",
        "lib/libgfortran",
        "lib/libomp",
        "lib/libstdc++",
        "lib/libgcc_s",
        "lib/libc++",
        "lib/libz.",
        "lib/libjpeg",
    )
    for key, built in packages.items():
        for path in (*built.files, *built.links):
            assert not path.startswith(foreign), (key, path)


def test_macos_libraries_are_upstreams_bytes_in_prefix_lib(packages):
    libtorch = only(packages, "osx-arm64", "libtorch", "cpu_")
    pytorch = only(packages, "osx-arm64", "pytorch", "cpu_generic_py313_")

    assert {path for path in libtorch.files if path.startswith("lib/")} == {
        "lib/libtorch_cpu.dylib",
        "lib/libc10.dylib",
    }
    assert pytorch.links["site-packages/torch/lib/libtorch_cpu.dylib"] == (
        "../../../../libtorch_cpu.dylib"
    )
    assert not any("libstdc++" in path for path in pytorch.links)


def test_every_file_is_accounted_for(packages):
    for (_, name, _, _), built in packages.items():
        if "info/armtorch/manifest.json" not in built.info:
            assert name in {
                "pytorch-cpu",
                "pytorch-gpu",
                "pytorch-mutex",
                "cpuonly",
                "pytorch-cuda",
                "torchaudio-torchcodec",
            }
            assert not built.files
            continue
        account = json.loads(built.info["info/armtorch/manifest.json"])
        assert {*built.files, *built.links} == {
            *account["unchanged"],
            *account["patched"],
            *account["generated"],
            *account["linked"],
        }


def test_the_licence_and_the_digest_travel_along(packages):
    for built in packages.values():
        assert any(path.startswith("info/licenses/") for path in built.info)
        about = json.loads(built.info["info/about.json"])
        assert len(about["extra"]["armtorch"]["digest"]) == 64


def test_variants_yaml_alone_builds_the_same_packages(channel, tmp_path):
    """Plain rattler-build in a recipe folder, as a person would call it."""
    root, out, _ = channel
    recipe = "recipes/9.1/torchvision/recipe.yaml"

    build(root, tmp_path, recipe, "linux-aarch64", "recipes/9.1/torchvision/variants.yaml")

    made = {path.name: Built.open(path) for path in tmp_path.glob("linux-aarch64/*.conda")}
    assert made.keys() == {path.name for path in out.glob("linux-aarch64/torchvision-*.conda")}
    for name, built in made.items():
        twin = Built.open(out / "linux-aarch64" / name)
        assert (built.files, built.links) == (twin.files, twin.links)
        assert built.info["info/paths.json"] == twin.info["info/paths.json"]
        assert built.info["info/armtorch/manifest.json"] == twin.info["info/armtorch/manifest.json"]


def test_another_wheel_in_the_wheelhouse_is_refused_by_rattler_build(channel, tmp_path):
    root, _, tree = channel
    variant = next(v for v in tree.variants if v.package == "torchaudio")
    wheel = variant.wheels[0]
    place = root / "wheelhouse" / wheel.sha256[:16] / wheel.filename
    content = place.read_bytes()
    try:
        place.write_bytes(content + b"\0")
        with pytest.raises(AssertionError, match=r"(?i)checksum|sha256"):
            build(root, tmp_path, variant.recipe_path, variant.subdir, variant.config_path)
    finally:
        place.write_bytes(content)
