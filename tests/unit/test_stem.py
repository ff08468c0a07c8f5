import pytest

from generator.model.stem import stem

PYTHON = {"python": ["3.13.* *_cp313"]}


@pytest.mark.parametrize(
    ("platform", "keys", "name"),
    [
        # names of files that conda-smithy wrote in conda-forge's torchvision-feedstock (fc94fe57)
        # and pytorch-cpu-feedstock (37bba429, b3b6a367, 4823239b)
        (
            "linux_64",
            {
                "c_compiler_version": "12",
                "c_stdlib_version": "2.28",
                "cuda_compiler": "cuda-nvcc",
                "cuda_compiler_version": "12.6",
                "cxx_compiler_version": "12",
                "python": "3.13.* *_cp313",
            },
            (
                "linux_64_c_compiler_version12c_stdlib_version2.28cuda_compilercuda-nvcc"
                "cuda_compiler_version12.6cxx_compiler_version12python3.13.____cp313"
            ),
        ),
        (
            "linux_64",
            {
                "blas_impl": "generic",
                "c_compiler_version": "12",
                "cuda_compiler": "None",
                "cuda_compiler_version": "None",
                "cxx_compiler_version": "12",
            },
            (
                "linux_64_blas_implgenericc_compiler_version12cuda_compilerNone"
                "cuda_compiler_versionNonecxx_compiler_version12"
            ),
        ),
        (
            "linux_64",
            {
                "blas_impl": "generic",
                "c_compiler_version": "12",
                "c_stdlib_version": "2.28",
                "channel_targets": "conda-forge main",
                "cuda_compiler": "cuda-nvcc",
                "cuda_compiler_version": "12.6",
                "cxx_compiler_version": "12",
                "rc": "None",
            },
            (
                "linux_64_blas_implgenericc_compiler_version12c_stdlib_version2.28"
                "channel_targetsconda-forge_maincuda_compilercuda-nvcccuda_compiler_version12.6"
                "cxx_compiler_version12rcNone"
            ),
        ),
        ("linux_64", {}, "linux_64_"),
    ],
)
def test_names_are_those_of_conda_forges_feedstocks(platform, keys, name):
    config = {key: [value] for key, value in keys.items()} | {"target_platform": ["linux-64"]}

    assert stem(platform, config, [*keys, "target_platform"]) == name


def test_only_loop_keys_enter_the_name():
    config = {**PYTHON, "docker_image": ["image"], "cuda_compiler_version": ["None"]}

    assert stem("osx_arm64", config, ["python"]) == "osx_arm64_python3.13.____cp313"


def test_what_windows_paths_cannot_hold_is_left_out():
    assert stem("win_arm64", {"key": ['a<>:?*,"/\\|b c']}, ["key"]) == "win_arm64_keya_b_c"


def test_a_name_that_windows_could_not_check_out_is_cut_and_stays_unique():
    first, second = (stem("linux_64", {"key": ["x" * 300 + end]}, ["key"]) for end in "ab")

    assert first != second
    folder = "C:/Users/runnerx/_work/armtorch/armtorch/.ci_support/metapackages/pytorch-mutex/"
    assert len(f"{folder}{first}.yaml") <= 259
