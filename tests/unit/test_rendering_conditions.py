import re

from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from generator.model import Accelerator, PythonBuild
from generator.rendering.conditions import Place, Row, condition, rows
from tests.counts import count

SUBDIRS = ("linux-aarch64", "osx-arm64", "linux-armv7l")
ACCELERATORS = tuple(map(Accelerator.parse, ("cpu", "cuda126", "cuda126-tegra", "cuda130")))
PYTHONS = tuple(map(PythonBuild.parse, ("3.9", "3.11", "3.12", "3.14", "3.14t")))
PLACES = [
    Place(subdir, accelerator, python)
    for subdir in SUBDIRS
    for accelerator in ACCELERATORS
    for python in PYTHONS
]


def holds(expression: str | None, place: Place) -> bool:
    """Evaluate a selector as rattler-build would (minijinja's rules agree with Python's here)."""
    if expression is None:
        return True
    assert place.python is not None

    def match(variant: str, spec: str) -> bool:
        return re.sub(r"\.\*.*", "", variant) in SpecifierSet(spec)

    names = {
        "linux": place.subdir.startswith("linux-"),
        "osx": place.subdir.startswith("osx-"),
        "target_platform": place.subdir,
        "python": place.python.variant_value,
        "match": match,
        "cuda_compiler_version": place.accelerator.cuda_compiler_version,
        "arm_variant_type": place.accelerator.arm_variant_type,
    }
    return bool(eval(expression, {"__builtins__": {}}, names))  # noqa: S307 - our own expression


def test_two_parts_are_not_shortened_beside_each_others_exact_form():
    """ "any CUDA" and "any Python below 3.13" are each right, and together admit one more."""
    cuda126, tegra, cuda130, cpu = (
        Accelerator.parse(text) for text in ("cuda126", "cuda126-tegra", "cuda130", "cpu")
    )
    arm32, arm64 = "linux-armv7l", "linux-aarch64"
    wanted = {
        Place(arm32, cuda130, PythonBuild(3, 9)),
        Place(arm64, tegra, PythonBuild(3, 12)),
    }
    others = {
        Place(arm32, cuda126, PythonBuild(3, 11)),
        Place(arm32, cuda130, PythonBuild(3, 14)),
        Place(arm64, cpu, PythonBuild(3, 9)),
    }

    expression = condition(wanted, wanted | others)

    assert {place for place in wanted | others if holds(expression, place)} == wanted


@settings(max_examples=4 * count("fuzz"))
@given(st.data())
def test_a_selector_holds_for_what_was_chosen_and_nothing_else(data):
    universe = data.draw(st.sets(st.sampled_from(PLACES), min_size=1, max_size=12))
    chosen = data.draw(st.sets(st.sampled_from(sorted(universe, key=str)), min_size=1))

    expression = condition(chosen, universe)

    assert {place for place in universe if holds(expression, place)} == chosen
    assert (expression is None) == (chosen == universe)


def place(text: str) -> Place:
    subdir, accelerator, python = text.split()
    return Place(subdir, Accelerator.parse(accelerator), PythonBuild.parse(python))


def test_selectors_are_as_short_as_a_person_would_write_them():
    linux, cuda, osx = (
        [place(f"{where} {python}") for python in ("3.11", "3.12", "3.13")]
        for where in ("linux-aarch64 cpu", "linux-aarch64 cuda130", "osx-arm64 cpu")
    )
    every = [*linux, *cuda, *osx]

    assert condition(osx, every) == "osx"
    assert condition([*linux, *cuda], every) == "linux"
    assert condition(cuda, every) == 'cuda_compiler_version != "None"'
    assert condition(linux[:1] + cuda[:1] + osx[:1], every) == 'python == "3.11.* *_cpython"'
    assert condition([*linux[1:], *cuda[1:], *osx[1:]], every) == 'match(python, ">=3.12")'
    assert condition(linux, every) == 'linux and cuda_compiler_version == "None"'
    assert condition(cuda[:1], every) == (
        'cuda_compiler_version != "None" and python == "3.11.* *_cpython"'
    )


def test_rows_keep_the_order_and_join_what_goes_together():
    one, two = place("linux-aarch64 cpu 3.11"), place("osx-arm64 cpu 3.11")

    assert rows({one: ("python", "libgcc", "b"), two: ("python", "libcxx", "b")}) == (
        Row(None, ("python",)),
        Row(None, ("b",)),
        Row("linux", ("libgcc",)),
        Row("osx", ("libcxx",)),
    )
