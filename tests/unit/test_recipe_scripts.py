"""templates/build.py as rattler-build runs it: a program, a wheel in SRC_DIR, a prefix to fill."""

import csv
import os
import subprocess
import sys

import pytest

from tests.locks import torch_wheel
from tests.recipe_bench import INFO, bench, record_hash


@pytest.fixture
def pytorch(tmp_path):
    return bench(tmp_path, [torch_wheel("9.1.0", "cp311"), torch_wheel("9.1.0", "cp312")])


@pytest.fixture
def libtorch(tmp_path):
    return bench(
        tmp_path, [torch_wheel("9.1.0", "cp311"), torch_wheel("9.1.0", "cp312")], package="libtorch"
    )


@pytest.fixture
def common(tmp_path):
    return bench(
        tmp_path,
        [torch_wheel("9.1.0", "cp311"), torch_wheel("9.1.0", "cp312")],
        package="pytorch-common",
    )


def links_of(made):
    return {
        path.relative_to(made.prefix).as_posix(): str(path.readlink())
        for path in made.prefix.rglob("*")
        if path.is_symlink()
    }


def files_of(made):
    return {
        path.relative_to(made.site).as_posix()
        for path in made.site.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_pytorch_holds_what_is_one_pythons_and_links_to_libraries(pytorch):
    done = pytorch.run()

    assert done.returncode == 0, done.stderr
    lib = "lib/python3.11/site-packages/torch/lib/"
    assert links_of(pytorch) == {
        f"{lib}{name}": f"../../../../{name}"
        for name in (
            "libc10.so",
            "libtorch_cpu.so",
            "libtorch_python.so",
            "libgfortran.so.5",
            "libgomp.so.1",
            "libopenblas-24fd393f.so.0",
            "libstdc++.so.6",
            "libgcc_s.so.1",
        )
    }
    assert files_of(pytorch) == {
        "torch/_C.cpython-311-aarch64-linux-gnu.so",
        "torch/bin/torch_shm_manager",
        f"{INFO}/licenses/LICENSE",
        f"{INFO}/METADATA",
        f"{INFO}/WHEEL",
        f"{INFO}/RECORD",
        f"{INFO}/INSTALLER",
        f"{INFO}/entry_points.txt",
    }
    assert (pytorch.prefix / "lib" / "libtorch_python.so").is_file()
    assert os.access(pytorch.site / "torch" / "bin" / "torch_shm_manager", os.X_OK)


def test_common_holds_what_site_packages_has_whatever_the_python(common):
    done = common.run()

    assert done.returncode == 0, done.stderr
    include = "lib/python3.11/site-packages/torch/include/"
    share = "lib/python3.11/site-packages/torch/share/cmake/"
    assert links_of(common) == {
        f"{include}ATen/ATen.h": "../../../../../../include/ATen/ATen.h",
        f"{include}c10/macros/Macros.h": "../../../../../../../include/c10/macros/Macros.h",
        f"{include}torch/torch.h": "../../../../../../include/torch/torch.h",
        f"{include}torch/script.h": "../../../../../../include/torch/script.h",
        **{
            f"{share}{name}": f"../../../../../../../share/cmake/{name}"
            for name in ("ATen/ATenConfig.cmake", "Torch/TorchConfig.cmake")
        },
    }
    assert files_of(common) == {
        "torch/__init__.py",
        "torch/version.py",
        "torch/include/kai/kai_common.h",
        "torch/include/pybind11/pybind11.h",
    }


def test_libtorch_holds_what_all_pythons_share(libtorch):
    done = libtorch.run()

    assert done.returncode == 0, done.stderr
    assert {
        path.relative_to(libtorch.prefix).as_posix()
        for path in libtorch.prefix.rglob("*")
        if path.is_file() and "info/" not in path.as_posix()
    } == {
        "lib/libc10.so",
        "lib/libtorch_cpu.so",
        "lib/libopenblas-24fd393f.so.0",
        "include/ATen/ATen.h",
        "include/c10/macros/Macros.h",
        "include/torch/torch.h",
        "include/torch/script.h",
        "share/cmake/Torch/TorchConfig.cmake",
        "share/cmake/ATen/ATenConfig.cmake",
    }
    config = (libtorch.prefix / "share/cmake/ATen/ATenConfig.cmake").read_text()
    assert config == 'set(ATEN_INCLUDE_DIR "${CMAKE_CURRENT_LIST_DIR}/../../../include")\n'


def test_every_member_is_accounted_for(tmp_path):
    """Between them the three manifests say of every member of the wheel what became of it."""
    wheel = torch_wheel("9.1.0", "cp311")
    manifests = []
    for package in ("libtorch", "pytorch-common", "pytorch"):
        (tmp_path / package).mkdir()
        made = bench(tmp_path / package, [wheel], package=package)
        assert made.run().returncode == 0
        manifests.append(made.manifest())

    libtorch, common, pytorch = manifests
    carried = {
        *(member for manifest in manifests for member in manifest["unchanged"].values()),
        *(row["member"] for row in libtorch["patched"].values()),
    }
    replaced = {row["instead_of"] for row in pytorch["linked"].values() if "instead_of" in row}
    generated = {
        path.removeprefix("site-packages/")
        for path in pytorch["generated"]
        if path.startswith("site-packages/")
    }
    dropped = {"torch/test/cpp/test_x", "torch/bin/protoc", "torch/bin/test_api"}
    assert sum(row["members"] for row in pytorch["dropped"]) == len(dropped)
    assert {*wheel.contents(), f"{INFO}/RECORD"} == (carried | replaced | dropped | generated) - {
        f"{INFO}/INSTALLER"
    }
    assert not carried & replaced
    assert len(carried) == len(libtorch["patched"]) + sum(
        len(manifest["unchanged"]) for manifest in manifests
    )
    links = {**common["linked"], **pytorch["linked"]}
    assert all(f"site-packages/{member}" in links for member in libtorch["unchanged"].values())


def test_record_lists_what_is_there_of_torch_and_nothing_else(tmp_path):
    """It is about the distribution: the common package's files stand in it too."""
    wheel = torch_wheel("9.1.0", "cp311")
    made = {}
    for package in ("pytorch-common", "pytorch"):
        (tmp_path / package).mkdir()
        made[package] = bench(tmp_path / package, [wheel], package=package)
        assert made[package].run().returncode == 0
    pytorch = made["pytorch"]

    with (pytorch.site / INFO / "RECORD").open() as file:
        rows = {path: (digest, size) for path, digest, size in csv.reader(file)}

    there = {
        path.relative_to(each.site).as_posix(): path
        for each in made.values()
        for path in each.site.rglob("*")
        if path.is_symlink() or path.is_file()
    }
    assert {path for path in rows if not path.startswith("../")} == set(there)
    assert rows["../../../bin/torchrun"] == ("", "")
    # a link has none: the bytes are another package's
    assert rows["torch/lib/libtorch_cpu.so"] == ("", "")
    assert rows["torch/lib/libgomp.so.1"] == ("", "")
    assert rows["torch/include/torch/torch.h"] == ("", "")
    for path, (digest, size) in rows.items():
        if digest:
            assert not there[path].is_symlink()
            content = there[path].read_bytes()
            assert (digest, int(size)) == (record_hash(content), len(content)), path
        else:
            assert path.startswith("../") or there[path].is_symlink() or path.endswith("/RECORD")


def test_upstreams_own_record_and_metadata_are_kept(pytorch):
    pytorch.run()

    wheel = torch_wheel("9.1.0", "cp311")
    kept = pytorch.prefix / "info" / "armtorch"
    assert (kept / "RECORD").read_bytes() == wheel.record_bytes()
    assert (kept / "METADATA").read_bytes() == wheel.metadata_bytes()
    assert pytorch.manifest()["source"]["purl"].startswith("pkg:pypi/torch@9.1.0?file_name=torch-")


def test_metadata_loses_what_conda_satisfies_without_a_dist(tmp_path):
    made = bench(
        tmp_path,
        [
            torch_wheel(
                "9.1.0",
                "cp311",
                requires=(
                    "filelock",
                    'nvidia-cudnn-cu13==9.24.0.43; platform_system == "Linux"',
                    "triton~=3.8.0",
                ),
            )
        ],
        accelerator="cuda130",
    )
    assert made.run().returncode == 0

    metadata = (made.site / INFO / "METADATA").read_text()

    assert "Requires-Dist: filelock\n" in metadata
    assert "Requires-Dist: triton~=3.8.0\n" in metadata
    assert "nvidia" not in metadata
    assert metadata.endswith("\n\nA tiny wheel for tests.\n")


def test_the_same_wheel_gives_the_same_prefix_whatever_the_clock_and_zone(tmp_path):
    prints = set()
    for name, zone in (("a", "UTC"), ("b", "Pacific/Auckland")):
        (tmp_path / name).mkdir()
        made = bench(tmp_path / name, [torch_wheel("9.1.0", "cp311")])
        assert made.run(TZ=zone).returncode == 0
        prints.add(
            tuple(
                sorted(
                    (
                        path.relative_to(made.prefix).as_posix(),
                        str(path.readlink()) if path.is_symlink() else path.read_bytes(),
                        0 if path.is_symlink() else path.stat().st_mtime_ns,
                        path.lstat().st_mode,
                    )
                    for path in made.prefix.rglob("*")
                    if path.is_symlink() or path.is_file()
                )
            )
        )

    assert len(prints) == 1


def test_memory_does_not_grow_with_the_wheel(tmp_path):
    """Packs 700 MB with an address space of 300 MiB, and unpacks half of it."""
    noise = os.urandom(1 << 15) + bytes((1 << 20) - (1 << 15))
    big = {"torch/lib/libbig.so": noise * 350, "torch/big.bin": noise * 350}
    made = bench(tmp_path, [torch_wheel("9.1.0", "cp311", extra=big)], package="pytorch-common")
    script = tmp_path / "_unpack" / "build.py"
    limited = (
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))\n"
        f"sys.argv[0] = {str(script)!r}\nsys.path.insert(0, {str(script.parent)!r})\n"
        f"runpy.run_path({str(script)!r}, run_name='__main__')\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", limited],
        check=False,
        capture_output=True,
        text=True,
        env={
            "SRC_DIR": str(tmp_path / "work"),
            "PREFIX": str(made.prefix),
            "PATH": os.defpath,
            "RECIPE_DIR": str(tmp_path / "recipe"),
            "target_platform": "linux-aarch64",
            "PY_VER": "3.11",
        },
    )

    assert done.returncode == 0, done.stderr
    assert (made.site / "torch" / "big.bin").stat().st_size == len(noise) * 350
