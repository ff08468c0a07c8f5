"""The value objects read what people write and write what conda and pip read."""

import pytest

from generator.model import Accelerator, PythonBuild, Pythons


@pytest.mark.parametrize(
    ("text", "variant", "abi", "label"),
    [
        ("3.9", "3.9.* *_cpython", "cp39", "py39"),
        ("3.12", "3.12.* *_cpython", "cp312", "py312"),
        ("3.13", "3.13.* *_cp313", "cp313", "py313"),
        ("3.14", "3.14.* *_cp314", "cp314", "py314"),
        ("3.14t", "3.14.* *_cp314t", "cp314t", "py314t"),
    ],
)
def test_a_python_build_has_the_names_conda_forge_and_pep_425_give_it(text, variant, abi, label):
    python = PythonBuild.parse(text)
    assert str(python) == text
    assert python.variant_value == variant
    assert python.abi == abi
    assert python.label == label
    assert PythonBuild.from_abi(abi) == python


def test_python_builds_sort_as_people_count():
    texts = ["3.14t", "3.9", "3.14", "3.10"]
    assert [str(p) for p in sorted(map(PythonBuild.parse, texts))] == [
        "3.9",
        "3.10",
        "3.14",
        "3.14t",
    ]


@pytest.mark.parametrize("text", ["", "3", "3.x", "3.12tt", "cp312", "3.12 ", "v3.12"])
def test_what_is_no_python_build_is_refused(text):
    with pytest.raises(ValueError, match=r"3\.12 or 3\.14t"):
        PythonBuild.parse(text)


@pytest.mark.parametrize(
    ("text", "compiler", "arm", "prefix", "offset"),
    [
        ("cpu", "None", "None", "cpu", 0),
        ("cuda130", "13.0", "sbsa", "cuda130", 200),
        ("cuda126-tegra", "12.6", "tegra", "cuda126", 200),
    ],
)
def test_an_accelerator_has_conda_forges_keys(text, compiler, arm, prefix, offset):
    accelerator = Accelerator.parse(text)
    assert str(accelerator) == text
    assert accelerator.cuda_compiler_version == compiler
    assert accelerator.arm_variant_type == arm
    assert accelerator.build_prefix == prefix
    assert accelerator.build_offset == offset


@pytest.mark.parametrize(
    "text", ["", "cuda", "cuda13", "cuda13.0", "gpu", "cuda130-arm", "cuda130-tegra"]
)
def test_what_is_no_accelerator_is_refused(text):
    with pytest.raises(ValueError, match="cuda130"):
        Accelerator.parse(text)


def test_pythons_are_some_or_all_but_some():
    every = [PythonBuild.parse(text) for text in ("3.11", "3.14", "3.14t", "3.15t")]

    def asked(*words):
        return [str(each) for each in every if each in Pythons.parse(words)]

    assert asked() == asked("all") == ["3.11", "3.14", "3.14t", "3.15t"]
    assert asked("all", "!3.15t") == asked("!3.15t") == ["3.11", "3.14", "3.14t"]
    assert asked("3.11", "3.14t") == ["3.11", "3.14t"]
    assert asked("3.11", "3.14t", "!3.14t") == ["3.11"]
    for words in (["all", "3.11"], ["!"], ["!all"]):
        with pytest.raises(ValueError, match=r"all|Python build"):
            Pythons.parse(words)
