from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version as Pep440
from rattler import MatchSpec, VersionSpec
from rattler import Version as CondaVersion

from generator.datafiles import subdirs
from generator.errors import DataError, MalformedError
from generator.model import Accelerator, Metadata, PythonBuild
from generator.naming import (
    admits,
    conda_depends,
    conda_name,
    conda_version_spec,
    dropped_requirements,
    licence_of,
    torch_requirement,
)
from tests.unit.wheel_metadata import FOLDER, wheel_metadata

CPU = Accelerator.parse("cpu")
ARM = subdirs()["linux-aarch64"]
MAC = subdirs()["osx-arm64"]
T2100 = wheel_metadata("torch-2.10.0-cp311-cp311-manylinux_2_28_aarch64")
T2141 = wheel_metadata("torch-2.14.1-cp312-cp312-manylinux_2_28_aarch64")
T2150 = wheel_metadata("torch-2.15.0-cp311-cp311-manylinux_2_28_aarch64")


def specs(metadata: Metadata, python: str | None, *, subdir=ARM, accelerator="cpu", part="all"):
    build = PythonBuild.parse(python) if python else None
    return [
        found.spec
        for found in conda_depends(
            metadata,
            subdir=subdir,
            accelerator=Accelerator.parse(accelerator),
            python=build,
            part=part,
        )
    ]


@pytest.mark.parametrize(
    ("pep440", "conda"),
    [
        ("", ""),
        ("~=3.9.0", ">=3.9.0,<3.10"),
        ("~=2.2", ">=2.2,<3"),
        ("~=1!2.2.1", ">=1!2.2.1,<1!2.3"),
        ("==2.10.0", "==2.10.0"),
        ("==2.10.*", "2.10.*"),
        ("===2.10.0", "==2.10.0"),
        ("!=8.3.*,>=5.3.0", ">=5.3.0,!=8.3.*"),
        ("<14,>=13.0.3", ">=13.0.3,<14"),
        (">1.0,!=1.5", ">1.0,!=1.5"),
        (">=3.10,!=3.14.1", ">=3.10,!=3.14.1"),
    ],
)
def test_version_specs_become_condas(pep440: str, conda: str) -> None:
    assert conda_version_spec(pep440) == conda
    if conda:
        assert str(MatchSpec(f"x {conda}", strict=True)) == f"x {conda}"


def test_a_broken_specifier_is_malformed() -> None:
    with pytest.raises(MalformedError, match="not a version specifier"):
        conda_version_spec("=>1")


_NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=3).map(
    lambda parts: ".".join(map(str, parts))
)


@given(
    st.lists(
        st.tuples(st.sampled_from([">=", "<=", "==", "!=", "~=", "<", ">"]), _NUMBERS),
        min_size=1,
        max_size=3,
    ),
    _NUMBERS,
    st.booleans(),
)
def test_both_sides_admit_the_same_releases(
    parts: list[tuple[str, str]], version: str, wildcard: bool
) -> None:
    parts = [(op, v if op != "~=" or "." in v else f"{v}.0") for op, v in parts]
    text = ",".join(
        f"{op}{v}.*" if wildcard and op in {"==", "!="} else f"{op}{v}" for op, v in parts
    )
    here = Pep440(version) in SpecifierSet(text)
    there = VersionSpec(conda_version_spec(text)).matches(CondaVersion(version))
    # conda's 1.0.* asks for the written zero, which a release of one part has not; PEP 440 pads
    if here != there:
        assert wildcard
        assert len(version.split(".")) < max(len(v.split(".")) for _, v in parts)


def test_torch_2100_on_arm_needs_nothing_of_cuda() -> None:
    assert specs(T2100, "3.11") == [
        "filelock",
        "typing_extensions >=4.10.0",
        "sympy >=1.13.3",
        "networkx >=2.5.1",
        "jinja2",
        "fsspec >=0.8.5",
        "setuptools",
        "numpy",
        "pybind11 >=3",
        "sleef",
        "fmt",
    ]


def test_torch_asks_for_no_numpy_where_the_base_channel_has_none() -> None:
    windows = subdirs()["win-arm64"]
    assert "numpy" not in specs(T2100, "3.12", subdir=windows)
    assert "setuptools" in specs(T2100, "3.12", subdir=windows)


def test_what_metadata_does_not_state_comes_from_the_projects_row() -> None:
    """torch.utils.cpp_extension imports setuptools; METADATA of 2.10 asks for it from 3.12 on."""
    for python in ("3.11", "3.12"):
        assert specs(T2100, python).count("setuptools") == 1
    assert "setuptools" not in specs(T2100, None, part="native")
    # what headers include: libtorch's are native, torch/extension.h is Python's
    assert specs(T2100, None, part="native") == ["sleef", "fmt"]
    assert specs(T2100, None, part="native", subdir=subdirs()["win-arm64"]) == []
    assert "fmt" not in specs(T2100, "3.11", part="python")
    # 2.14 states it, with a floor that must stay the only word on it
    assert [spec for spec in specs(T2141, "3.12") if "setuptools" in spec] == [
        "setuptools >=77.0.3"
    ]


def test_what_a_project_needs_may_depend_on_its_version_and_the_python() -> None:
    older = replace(T2100, version="2.2.2")
    assert [spec for spec in specs(older, "3.11") if "numpy" in spec] == ["numpy <2"]
    legacy = replace(T2100, version="2.8.0")
    assert "importlib-metadata" in specs(legacy, "3.9")
    assert "importlib-metadata" not in specs(legacy, "3.10")
    # 3.9 is not after 3.10
    assert "importlib-metadata" not in specs(legacy, "3.13")


def test_torch_2141_maps_its_toolkit_to_conda_packages_of_13_0() -> None:
    assert specs(T2141, "3.12", accelerator="cuda130") == [
        "filelock",
        "typing_extensions >=4.10.0",
        "setuptools >=77.0.3",
        "sympy >=1.13.3",
        "networkx >=2.5.1",
        "jinja2",
        "fsspec >=0.8.5",
        "cuda-version >=13.0,<14",
        "libcublas >=13.1,<14",
        "cuda-cudart >=13.0,<14",
        "libcufft >=12.0,<13",
        "libcufile >=1.15,<2",
        "cuda-cupti >=13.0,<14",
        "libcurand >=10.4,<11",
        "libcusolver >=12.0,<13",
        "libcusparse >=12.6,<13",
        "libnvjitlink >=13.0,<14",
        "cuda-nvrtc >=13.0,<14",
        "cuda-bindings >=13.0.3,<14",
        "libcudnn >=9.24,<10",
        "cusparselt >=0.8.1,<0.9",
        "nccl >=2.30.4,<3",
        "libnvshmem3 >=3.4.5,<4",
        "triton >=3.8.0,<3.9",
        "numpy",
        "pybind11 >=3",
        "sleef",
        "fmt",
        "arm-variant * sbsa",
    ]


def test_torch_2150_asks_for_13_2_and_measured_floors() -> None:
    native = specs(T2150, None, accelerator="cuda132", part="native")
    assert {
        "cuda-version >=13.2,<14",
        "libcublas >=13.4,<14",
        "libcudnn >=9.26,<10",
        "nccl >=2.30.4,<3",
        "libnvshmem3 >=3.6.5,<4",
    } <= set(native)
    assert not {"libcurand", "cuda-nvtx", "cuda-bindings", "triton", "filelock"} & {
        spec.split()[0] for spec in native
    }


def test_a_pin_range_on_a_library_starts_where_it_says() -> None:
    found = specs(
        wheel_metadata("torch-2.12.1-cp312-cp312-manylinux_2_28_aarch64"),
        "3.12",
        accelerator="cuda130",
    )
    assert "libcublas >=13.1,<14" in found
    assert "triton ==3.7.1" in found


def test_markers_are_the_targets_not_this_machines() -> None:
    """Upstream's METADATA for macOS repeats Linux lines; none of them may hold there."""
    found = specs(
        wheel_metadata("torch-2.14.1-cp314-cp314t-macosx_14_0_arm64"), "3.14t", subdir=MAC
    )
    assert [spec.split()[0] for spec in found] == [
        "filelock",
        "typing_extensions",
        "setuptools",
        "sympy",
        "networkx",
        "jinja2",
        "fsspec",
        "numpy",
        "pybind11",
        "sleef",
        "fmt",
    ]
    triton = [s for s in specs(T2141, "3.15", accelerator="cuda130") if s.startswith("triton")]
    assert triton == []


def test_a_package_without_python_refuses_what_differs_between_pythons() -> None:
    with pytest.raises(MalformedError, match=r"cuda-bindings.*holds for Python 3\.11") as caught:
        specs(T2150, None, accelerator="cuda132")
    assert "torch 2.15.0" in str(caught.value)
    vision = wheel_metadata("torchvision-0.29.2-py3-none-manylinux_2_28_aarch64")
    assert specs(vision, None) == ["numpy", "pillow >=5.3.0,!=8.3.*"]


def test_the_trio_is_left_to_the_caller() -> None:
    vision = wheel_metadata("torchvision-0.25.0-cp310-cp310-manylinux_2_28_aarch64")
    assert torch_requirement(vision) == "==2.10.0"
    found = conda_depends(vision, subdir=ARM, accelerator=CPU, python=PythonBuild(3, 11), trio=True)
    assert "pytorch ==2.10.0" in [dependency.spec for dependency in found]
    assert (
        torch_requirement(wheel_metadata("torchaudio-2.11.0-cp310-cp310-manylinux_2_28_aarch64"))
        is None
    )


def test_each_dependency_says_where_it_comes_from() -> None:
    found = conda_depends(
        T2141, subdir=ARM, accelerator=Accelerator.parse("cuda130"), python=PythonBuild(3, 12)
    )
    by_name = {dependency.name: dependency.why for dependency in found}
    assert by_name["libcudnn"].startswith("Requires-Dist: nvidia-cudnn-cu13==9.24.0.43")
    assert by_name["libcurand"].endswith("(extra curand)")


def test_dropped_lines_are_those_conda_has_no_dist_for() -> None:
    dropped = dropped_requirements(T2141)
    assert [line.split("=")[0].split("[")[0] for line in dropped] == [
        "cuda-toolkit",
        "nvidia-cudnn-cu13",
        "nvidia-cusparselt-cu13",
        "nvidia-nccl-cu13",
        "nvidia-nvshmem-cu13",
    ]
    assert set(dropped) <= set(T2141.requires_dist)
    assert all(line.startswith("nvidia-") for line in dropped_requirements(T2100))
    assert len(dropped_requirements(T2100)) == 15


def test_an_unknown_toolkit_line_names_the_row_to_add() -> None:
    metadata = Metadata(name="torch", version="9", requires_dist=("cuda-toolkit[cublas]==14.1.0",))
    with pytest.raises(DataError, match=r"cuda-toolkit\[cublas\] of line 14\.1") as caught:
        specs(metadata, "3.12", accelerator="cuda141")
    assert "add projects.cuda-toolkit.extras.'14.1'.cublas to it" in caught.value.next_step


def test_a_broken_requirement_is_malformed() -> None:
    with pytest.raises(MalformedError, match="PEP 508"):
        specs(Metadata(name="torch", version="9", requires_dist=("numpy >>1",)), "3.12")


@pytest.mark.parametrize("stem", sorted(path.stem for path in FOLDER.glob("*.metadata")))
def test_every_real_wheel_maps_to_specs_conda_reads(stem: str) -> None:
    metadata = wheel_metadata(stem)
    subdir = MAC if "macosx" in stem else ARM
    accelerator = "cuda130" if metadata.name == "torch" and metadata.version > "2.11" else "cpu"
    for spec in specs(metadata, "3.12", subdir=subdir, accelerator=accelerator):
        parsed = MatchSpec(spec, strict=True)
        assert str(parsed) == spec
    assert not licence_of(metadata).unknown


def test_names() -> None:
    assert conda_name("torch") == "pytorch"
    assert conda_name("Typing_Extensions") == "typing_extensions"
    assert conda_name("Jinja2") == "jinja2"
    assert conda_name("nvidia-nccl-cu13") == "nccl"


@pytest.mark.parametrize(
    ("accelerator", "expected"),
    [
        ("cuda126-tegra", ["sleef", "fmt", "cuda-version >=12.6,<13", "arm-variant * tegra"]),
        ("cuda126", ["sleef", "fmt", "cuda-version >=12.6,<13", "arm-variant * sbsa"]),
        ("cuda130", ["sleef", "fmt", "cuda-version >=13.0,<14", "arm-variant * sbsa"]),
        ("cpu", ["sleef", "fmt"]),
    ],
)
def test_a_wheel_that_declares_no_cuda_still_asks_for_its_line(accelerator, expected) -> None:
    """As the wheels of the Jetson index do."""
    silent = Metadata(name="torch", version="2.8.0", requires_dist=("filelock",))
    assert specs(silent, "3.10", accelerator=accelerator, part="native") == expected


def test_windows_has_no_boards() -> None:
    silent = Metadata(name="torch", version="2.14.0")
    found = conda_depends(
        silent,
        subdir=subdirs()["win-arm64"],
        accelerator=Accelerator.parse("cuda134"),
        python=PythonBuild(3, 13),
        part="native",
    )
    assert found == ()


def test_cuda_12_of_download_pytorch_org_maps_to_the_split_packages() -> None:
    metadata = Metadata(
        name="torch",
        version="2.13.0",
        requires_dist=(
            "nvidia-cuda-runtime-cu12==12.6.77",
            "nvidia-cublas-cu12==12.6.4.1",
            "nvidia-cudnn-cu12==9.10.2.21",
            "nvidia-cusparselt-cu12==0.7.1",
            "nvidia-nccl-cu12==2.27.5",
        ),
    )
    assert specs(metadata, None, accelerator="cuda126", part="native") == [
        "cuda-cudart >=12.6,<13",
        "libcublas >=12.6,<13",
        "libcudnn >=9.10,<10",
        "cusparselt >=0.7.1,<0.8",
        "nccl >=2.27.5,<3",
        "sleef",
        "fmt",
        "cuda-version >=12.6,<13",
        "arm-variant * sbsa",
    ]
    assert len(dropped_requirements(metadata)) == 5


@pytest.mark.parametrize(
    ("wanted", "version", "holds"),
    [
        ("==2.6.0", "2.6.0+cu126", True),
        # a companion that was made beside that torch, and pins it whole
        ("==2.6.0+cu126", "2.6.0+cu126", True),
        ("==2.6.0+cu126", "2.6.0+cpu", False),
        ("==2.6.0+cu126", "2.6.0", False),
        ("==2.6.1", "2.6.0+cu126", False),
        (">=2.6.0.dev1", "2.6.0.dev20250101+cpu", True),
        ("", "2.6.0rc1", True),
    ],
)
def test_a_local_version_is_admitted_by_name_or_where_none_is_named(wanted, version, holds):
    assert admits(SpecifierSet(wanted), Pep440(version)) is holds
