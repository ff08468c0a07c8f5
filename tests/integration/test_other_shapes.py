"""Wheels of other shapes than a plain CPU trio: CUDA, local versions, one wheel for all Pythons."""

from __future__ import annotations

import pytest

from tests.integration.synthetic import updated
from tests.integration.test_recipe_builds import Built
from tests.synthetic_wheels import Release

pytestmark = pytest.mark.integration


def test_a_cuda_trio_whose_torchvision_is_one_wheel_for_all_pythons(tmp_path):
    release = Release(
        subdir="linux-aarch64",
        torch="2.14.1",
        torchvision="0.29.2",
        torchaudio="2.11.0",
        accelerator="cuda130",
        any_python=frozenset({"torchvision"}),
        differs=frozenset({"build-path"}),
    )
    line = updated(
        tmp_path, release.wheels(["cp312", "cp314t"]), "linux-aarch64", accelerators=["cuda"]
    )
    assert [str(cell.accelerator) for cell in line.cells] == ["cuda130"]
    assert [len(line.packages(name)) for name in ("libtorch", "pytorch", "torchvision")] == [
        1,
        2,
        1,
    ]
    (vision,) = line.packages("torchvision")
    assert vision.name.startswith("torchvision-0.29.2-cuda130_py3_h")
    (libtorch,) = line.packages("libtorch")
    found = Built.open(libtorch)
    assert "__cuda >=13" in found.index["depends"]
    assert {"lib/libtorch_cuda.so", "lib/libtorch_nvshmem.so"} <= found.files.keys()


def test_a_local_version_stays_out_of_the_packages_version(tmp_path):
    """``torch-2.10.0+cpu-...-win_arm64.whl``, as download.pytorch.org has it."""
    release = Release(subdir="win-arm64", torch="2.10.0", local="cpu")
    line = updated(tmp_path, release.wheels(["cp312"]), "win-arm64")
    assert {cell.trio["torch"] for cell in line.cells} == {"2.10.0"}
    names = {path.name.split("-cpu_")[0] for path in line.channel.root.glob("win-arm64/*.conda")}
    assert names == {
        *("libtorch-2.10.0", "pytorch-2.10.0", "torchvision-0.25.0", "torchaudio-2.10.0"),
        *("pytorch-cpu-2.10.0", "pytorch-common-2.10.0"),
    }


def test_builds_that_differ_in_code_get_a_libtorch_each(tmp_path):
    release = Release(
        subdir="linux-armv7l", torch="2.10.0", differs=frozenset({"build-id", "code"})
    )
    line = updated(tmp_path, release.wheels(["cp312", "cp313"], ["torch"]), "linux-armv7l")
    (cell,) = line.cells
    assert [each.pythons for each in cell.apart] == [("3.13",)], "3.12 has the cell's own"
    assert not [row for row in cell.absent if row.python]
    assert [len(line.packages(name)) for name in ("libtorch", "pytorch")] == [2, 2]
