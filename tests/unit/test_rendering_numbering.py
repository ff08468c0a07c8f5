from dataclasses import replace

import pytest

from generator.errors import StaleError
from generator.rendering import check_numbers, digests, number_builds, recipe, render
from generator.rendering import templates as templates_module
from tests.locks import Shelf, cpu_cell, feedstock, torch_wheel


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def old(shelf):
    return number_builds(feedstock(), shelf.lock(cpu_cell(shelf)), None)


def numbers(lock):
    return {name: build.number for name, build in lock.builds.items()}


@pytest.fixture
def touched(monkeypatch):
    """Change one template's bytes, as a commit would."""

    def touch(name):
        read = templates_module.read
        monkeypatch.setattr(
            templates_module,
            "read",
            lambda path: read(path) + (b"# more\n" if path == name else b""),
        )

    return touch


def test_everything_starts_at_zero(old):
    assert set(numbers(old).values()) == {0}
    assert "9.1/pytorch" in old.builds
    assert "metapackages/cpuonly" in old.builds


def test_unchanged_inputs_keep_number_and_digest(old):
    assert number_builds(feedstock(), replace(old, builds={}), old) == old


def test_a_changed_template_raises_the_numbers_of_what_is_made_with_it(old, touched):
    touched("tests/torchaudio.py")

    new = number_builds(feedstock(), old, old)

    assert {name for name, number in numbers(new).items() if number == 1} == {"9.1/torchaudio"}


def test_build_py_is_an_input_of_everything_that_unpacks_a_wheel(old, touched):
    touched("build.py")

    new = number_builds(feedstock(), old, old)

    assert {name for name, number in numbers(new).items() if number == 1} == {
        "9.1/libtorch",
        "9.1/pytorch-common",
        "9.1/pytorch",
        "9.1/torchvision",
        "9.1/torchaudio",
    }


def test_a_new_libtorch_takes_its_pytorch_along(old, monkeypatch):
    monkeypatch.setattr(recipe, "_HEADERS", ("include/other.h",))

    new = number_builds(feedstock(), old, old)

    assert {name for name, number in numbers(new).items() if number == 1} == {
        "9.1/libtorch",
        "9.1/pytorch-common",
        "9.1/pytorch",
    }


def test_a_new_version_starts_at_zero_and_another_wheel_of_the_same_does_not(shelf, old):
    raised = replace(
        old, builds={name: replace(build, number=4) for name, build in old.builds.items()}
    )
    other = shelf.cell("9.1", "cpu", [torch_wheel("9.1.1", "cp311")])
    newer = number_builds(feedstock(), shelf.lock(other), raised)
    rebuilt = shelf.cell(
        "9.1", "cpu", [torch_wheel("9.1.0", "cp311", extra={"torch/more.py": b"more\n"})]
    )
    again = number_builds(feedstock(), shelf.lock(rebuilt), raised)

    assert numbers(newer)["9.1/pytorch"] == 0
    assert numbers(again)["9.1/pytorch"] == 5


def test_the_number_itself_is_no_input(old):
    raised = replace(
        old, builds={name: replace(build, number=7) for name, build in old.builds.items()}
    )

    assert digests(feedstock(), raised) == {
        name: build.digest for name, build in old.builds.items()
    }


def test_recipes_state_number_and_digest(old):
    raised = replace(
        old, builds={name: replace(build, number=7) for name, build in old.builds.items()}
    )

    recipe = render(feedstock(), raised).files["recipes/9.1/pytorch/recipe.yaml"].decode()

    assert '${{ 207 if cuda_compiler_version != "None" else 7 }}' in recipe
    assert f'digest: "{old.builds["9.1/pytorch"].digest}"' in recipe


def test_a_changed_recipe_with_the_old_number_is_stale(old, touched):
    check_numbers(feedstock(), old)
    touched("tests/pytorch.py")

    with pytest.raises(StaleError, match=r"9\.1/pytorch"):
        check_numbers(feedstock(), old)
