"""Which packages a person gets for a command: all rendered variants, solved by rattler."""

from __future__ import annotations

import pytest

from generator.datafiles import subdirs
from generator.errors import SolveError
from generator.matrix import variants
from generator.testing import Machine, solve
from tests import rendered_channel
from tests.conftest import ROOT
from tests.forge import standins

pytestmark = pytest.mark.integration

TRIO = ["pytorch", "torchvision", "torchaudio"]
GPU = "__cuda=13.0"


@pytest.fixture(scope="module")
def channels(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("solving")
    records = tree_records(render(project.declared(), project.locked()))
    ours = write_record_channel(records.values(), folder / "ours")
    return [ours, standins.write(folder / "base")]


def chosen(channels, *specs, subdir="linux-aarch64", virtual=(), strict=True):
    own = ["__glibc=2.39"] if subdir.startswith("linux-") else []
    machine = Machine.of(subdirs()[subdir], native=False, added=[*own, *virtual])
    records = solve(list(specs), channels=channels, machine=machine, strict=strict)
    return {r.name.normalized: (str(r.version), str(r.build)) for r in records}


def trio_of(found):
    return {name: found[name][0] for name in TRIO if name in found}


def accelerators(found):
    return {found[name][1].split("_")[0] for name in [*TRIO, "libtorch"] if name in found}


@pytest.mark.parametrize("extra", [[], ["cpuonly"]])
def test_the_seeds_commands_give_the_cpu_trio_without_a_gpu(channels, extra):
    found = chosen(channels, *TRIO, *extra)
    assert trio_of(found) == {"pytorch": "2.10.0", "torchvision": "0.25.0", "torchaudio": "2.10.0"}
    assert accelerators(found) == {"cpu"}


def test_pytorch_alone_is_the_newest_cpu_build_without_a_gpu(channels):
    found = chosen(channels, "pytorch")
    assert found["pytorch"][0] == "2.10.0"
    assert found["pytorch"][1].startswith("cpu_generic_py")


def test_with_a_gpu_the_three_names_give_the_cuda_trio(channels):
    found = chosen(channels, *TRIO, virtual=[GPU])
    assert trio_of(found) == {"pytorch": "2.14.1", "torchvision": "0.29.2", "torchaudio": "2.11.0"}
    assert accelerators(found) == {"cuda130"}
    assert found["pytorch-mutex"] == ("1.0", "cuda")


def test_with_a_gpu_pytorch_alone_is_the_newest_of_all(channels):
    found = chosen(channels, "pytorch", virtual=["__cuda=13.2"])
    assert found["pytorch"][0] == "2.15.0"
    assert accelerators(found) == {"cuda132"}


def test_cpuonly_flips_the_build_on_a_machine_with_a_gpu(channels):
    found = chosen(channels, *TRIO, "cpuonly", virtual=[GPU])
    assert accelerators(found) == {"cpu"}
    assert found["pytorch-mutex"] == ("1.0", "cpu")


@pytest.mark.parametrize(
    ("specs", "virtual", "expected"),
    [
        (["pytorch-cpu"], [GPU], "cpu"),
        (["pytorch-gpu"], [GPU], "cuda132"),
        (["pytorch-gpu", "torchaudio"], [GPU], "cuda130"),
        (["pytorch", "pytorch-cuda=13.0"], [GPU], "cuda130"),
        (["pytorch=*=cuda*", "torchaudio"], [GPU], "cuda130"),
        (["pytorch=*=cpu*"], [GPU], "cpu"),
        (["torchvision"], [], "cpu"),
        (["torchaudio"], [GPU], "cuda130"),
        (["pytorch"], ["__cuda=12.4"], "cpu"),
    ],
)
def test_the_ways_both_communities_ask_for_a_build(channels, specs, virtual, expected):
    found = chosen(channels, *specs, virtual=virtual)
    assert accelerators(found) == {expected}


def test_old_environment_files_with_python_39_solve_on_the_legacy_line(channels):
    for specs in (TRIO, [*TRIO, "cpuonly"], ["pytorch"]):
        found = chosen(channels, "python=3.9", *specs)
        assert found["pytorch"][0] == "2.8.0"
        assert found["python"][0].startswith("3.9.")


def test_every_python_build_gets_its_own_package(channels):
    for text, label in (("3.10", "py310"), ("3.12", "py312"), ("3.14", "py314")):
        found = chosen(channels, f"python={text}", *TRIO)
        assert label in found["pytorch"][1]
    found = chosen(channels, "python 3.14.* *_cp314t", "pytorch")
    assert found["python_abi"][1].endswith("_cp314t")


def test_apple_silicon_gets_the_newest_trio_and_no_mutex(channels):
    found = chosen(channels, *TRIO, subdir="osx-arm64")
    assert trio_of(found) == {"pytorch": "2.15.0", "torchvision": "0.29.2", "torchaudio": "2.11.0"}
    assert "pytorch-mutex" not in found


@pytest.mark.parametrize(
    ("specs", "subdir", "virtual"),
    [
        (["pytorch"], "linux-aarch64", ["__glibc=2.17"]),  # manylinux_2_28
        (["pytorch"], "osx-arm64", ["__osx=12.0"]),  # macosx_14_0
        (["pytorch=*=cuda*"], "linux-aarch64", []),  # no GPU
        (["pytorch-gpu"], "linux-aarch64", ["__cuda=12.4"]),  # driver too old for CUDA 13
        (["pytorch-cuda=13.0", "cpuonly"], "linux-aarch64", [GPU]),
        (["pytorch=2.15", "torchaudio"], "linux-aarch64", ["__cuda=13.2"]),  # left out: raises
    ],
)
def test_what_cannot_work_is_refused(channels, specs, subdir, virtual):
    with pytest.raises(SolveError):
        chosen(channels, *specs, subdir=subdir, virtual=virtual)


def test_packages_of_different_builds_never_mix(channels):
    for virtual in ([], [GPU], ["__cuda=13.2"]):
        found = chosen(channels, "pytorch", "torchvision", virtual=virtual)
        assert len(accelerators(found)) == 1
        assert found["pytorch"][0] == found["libtorch"][0]
