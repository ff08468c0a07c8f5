import json
from dataclasses import replace

import jsonschema
import pytest

from generator.errors import LockError
from generator.feedstock import Line
from generator.matrix import (
    Selection,
    lines,
    matrix_json,
    matrix_schema,
    matrix_view,
    newest_lines,
    select,
    variants,
)
from generator.model import Absence, BuildNumber, CellAbsence, Pythons
from tests.locks import Shelf, cpu_cell, cuda_cell, feedstock, osx_cell


@pytest.fixture(scope="module")
def shelf():
    return Shelf()


@pytest.fixture(scope="module")
def lock(shelf):
    cells = cpu_cell(shelf), cuda_cell(shelf), osx_cell(shelf)
    return shelf.lock(*cells)


@pytest.fixture(scope="module")
def found(lock):
    return {variant.id: variant for variant in variants(feedstock(), lock)}


def test_every_package_of_every_cell_has_a_variant(found):
    assert sorted(id_ for id_ in found if "/pytorch/" in id_ or "/libtorch/" in id_) == [
        "9.1/libtorch/linux_aarch64_cuda_compiler_version13.0",
        "9.1/libtorch/linux_aarch64_cuda_compiler_versionNone",
        "9.1/libtorch/osx_arm64_",
        "9.1/pytorch/linux_aarch64_cuda_compiler_version13.0python3.11.____cpython",
        "9.1/pytorch/linux_aarch64_cuda_compiler_version13.0python3.12.____cpython",
        "9.1/pytorch/linux_aarch64_cuda_compiler_versionNonepython3.11.____cpython",
        "9.1/pytorch/linux_aarch64_cuda_compiler_versionNonepython3.12.____cpython",
        "9.1/pytorch/linux_aarch64_cuda_compiler_versionNonepython3.14.____cp314t",
        "9.1/pytorch/osx_arm64_python3.11.____cpython",
        "9.1/pytorch/osx_arm64_python3.12.____cpython",
        "9.1/pytorch/osx_arm64_python3.13.____cp313",
    ]


def test_what_is_the_same_everywhere_exists_once(found):
    assert [id_ for id_, variant in found.items() if variant.subdir == "noarch"] == [
        "metapackages/pytorch-mutex/linux_64_cuda_compilerNone",
        "metapackages/pytorch-mutex/linux_64_cuda_compilercuda-nvcc",
        "metapackages/cpuonly/linux_64_",
        "metapackages/pytorch-cuda/linux_64_",
        "metapackages/torchaudio-torchcodec/linux_64_takenNone",
        "metapackages/torchaudio-torchcodec/linux_64_takenany",
    ]


def test_one_cuda_line_is_chosen_with_the_mutex_that_all_of_them_share(shelf):
    lock = shelf.lock(cuda_cell(shelf), cuda_cell(shelf, "cuda132", "9.2", "9.2.0"))
    found = variants(feedstock(), lock)

    for asked in ("cuda130", "cuda132"):
        chosen = select(found, Selection(accelerators=(asked,)))
        bare = {(v.package, str(v.version)) for v in chosen if v.subdir == "noarch"}
        assert bare == {("pytorch-mutex", "1.0"), ("pytorch-cuda", f"{asked[4:6]}.{asked[6]}")}
        assert {d for v in chosen for d in v.depends} <= {v.id for v in chosen}
        assert {str(v.accelerator) for v in chosen if v.subdir != "noarch"} == {asked}


def test_a_wheel_for_every_python_is_one_package_when_the_line_has_no_other(shelf):
    lock = shelf.lock(cuda_cell(shelf))

    rows = [v for v in variants(feedstock(), lock) if v.package == "torchvision"]

    assert [(row.id, row.python) for row in rows] == [("9.1/torchvision/linux_aarch64_", None)]


def test_in_a_line_with_wheels_per_python_it_is_one_package_per_python_all_the_same(found):
    rows = [v for v in found.values() if v.package == "torchvision" and v.accelerator.cuda]

    assert [str(row.python) for row in rows] == ["3.11", "3.12"]
    assert len({row.wheels for row in rows}) == 1


def test_configs_hold_conda_forges_keys_and_nothing_else(found):
    variant = found["9.1/torchvision/linux_aarch64_cuda_compiler_versionNonepython3.14.____cp314t"]

    assert variant.config == {
        "channel_sources": ("conda-forge",),
        "channel_targets": ("tiny main",),
        "cuda_compiler_version": ("None",),
        "docker_image": ("quay.io/condaforge/linux-anvil-aarch64:alma10",),
        "github_actions_labels": ("ubuntu-24.04-arm",),
        "python": ("3.14.* *_cp314t",),
        "pytorch": ("9.1.0",),
        "target_platform": ("linux-aarch64",),
    }


def test_jetson_and_server_boards_are_told_apart_by_conda_forges_key(shelf):
    lock = shelf.lock(cuda_cell(shelf, "cuda126"), cuda_cell(shelf, "cuda126-tegra"))

    rows = [v for v in variants(feedstock(), lock) if v.package == "libtorch"]

    assert [row.stem for row in rows] == [
        "linux_aarch64_arm_variant_typesbsa",
        "linux_aarch64_arm_variant_typetegra",
    ]


def test_each_comes_after_what_it_depends_on(found):
    order = list(found)

    for id_, variant in found.items():
        assert all(order.index(other) < order.index(id_) for other in variant.depends)
    pytorch = found["9.1/pytorch/linux_aarch64_cuda_compiler_version13.0python3.11.____cpython"]
    assert set(pytorch.depends) == {
        "9.1/libtorch/linux_aarch64_cuda_compiler_version13.0",
        "9.1/pytorch-common/linux_aarch64_cuda_compiler_version13.0",
        "metapackages/pytorch-mutex/linux_64_cuda_compilercuda-nvcc",
    }
    assert found["9.1/pytorch/osx_arm64_python3.11.____cpython"].depends == (
        "9.1/libtorch/osx_arm64_",
        "9.1/pytorch-common/osx_arm64_",
    )


def test_cuda_builds_outrank_cpu_builds(lock):
    numbered = replace(lock, builds={"9.1/libtorch": BuildNumber(number=3, digest="d")})

    rows = {
        str(v.accelerator): v
        for v in variants(feedstock(), numbered)
        if v.package == "libtorch" and v.subdir == "linux-aarch64"
    }

    assert (rows["cpu"].build_number, rows["cuda130"].build_number) == (3, 203)
    assert rows["cpu"].digest == "d"


def test_only_pythons_that_are_asked_for(lock):
    asked = feedstock(pythons=Pythons.parse(["3.12"]))

    assert {str(v.python) for v in variants(asked, lock) if v.package == "pytorch"} == {"3.12"}


def test_the_same_words_choose_in_feedstock_yaml_and_on_the_command_line(lock):
    every = variants(feedstock(), lock)
    for words in (["3.12"], ["!3.14t"], ["all", "!3.12"], ["3.11", "3.12", "!3.12"]):
        asked = variants(feedstock(pythons=Pythons.parse(words)), lock)
        chosen = select(every, Selection(pythons=Pythons.parse(words)))
        own = [
            {(v.package, v.subdir, v.accelerator, v.python) for v in found if v.python is not None}
            for found in (asked, chosen)
        ]
        assert own[0] == own[1]
        assert 0 < len(own[0]) < len([v for v in every if v.python is not None])
        assert newest_lines(lock.cells, Selection(pythons=Pythons.parse(words)))


def test_a_line_of_its_own_has_pythons_of_its_own(shelf):
    own = Line(
        name="old",
        torch="==9.0.*",
        subdirs=("linux-aarch64",),
        accelerators=("cpu",),
        pythons=Pythons.parse(["3.11"]),
    )
    lock = shelf.lock(cpu_cell(shelf, line="old", version="9.0.0"))
    asked = feedstock(lines=(own,), pythons=Pythons.parse(["3.12"]))

    assert {str(v.python) for v in variants(asked, lock) if v.package == "pytorch"} == {"3.11"}


def test_a_local_version_does_not_reach_conda(shelf):
    cell = cuda_cell(shelf)
    local = replace(
        cell,
        wheels=tuple(replace(wheel, version=f"{wheel.version}+cu130") for wheel in cell.wheels),
    )

    assert {
        v.version for v in variants(feedstock(), shelf.lock(local)) if v.package == "pytorch"
    } == {"9.1.0"}


def test_two_cells_for_one_place_are_refused(shelf):
    with pytest.raises(LockError, match="two cells of one subdir and accelerator"):
        lines(shelf.lock(cpu_cell(shelf), cpu_cell(shelf)))


def test_the_view_gives_a_reason_for_everything_absent(shelf, lock):
    absent = CellAbsence(
        train="stable", subdir="win-arm64", accelerator="cpu", reason="absent", detail="no wheel"
    )
    said = Absence(package="torchvision", reason="incompatible", detail="why", python="3.13")
    osx = replace(osx_cell(shelf), absent=(said,))
    view = matrix_view(feedstock(), replace(lock, cells=(*lock.cells[:2], osx), absent=(absent,)))

    missing = {
        (cell.name, row.package, row.python): row.reason
        for cell in view.cells
        for row in cell.missing
    }

    assert missing[("9.1/linux-aarch64/cpu", "torchaudio", "3.14t")] == "absent"
    assert missing[("9.1/osx-arm64/cpu", "torchvision", "3.13")] == "incompatible"
    assert view.absent[0].subdir == "win-arm64"
    assert ("9.1/linux-aarch64/cpu", "torchvision", "3.14t") not in missing


def test_the_view_as_json_fits_its_schema(lock):
    jsonschema.validate(
        json.loads(matrix_json(matrix_view(feedstock(), lock))), json.loads(matrix_schema())
    )
