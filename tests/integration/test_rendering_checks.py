"""What check_tree holds a rendered tree against: parsers, schemas and rattler-build itself."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from generator.errors import RenderError
from generator.rendering import RenderedTree, check_tree, number_builds, render
from tests.golden_trees import golden_lock
from tests.locks import feedstock

PYTORCH = "recipes/9.1/pytorch/recipe.yaml"
CONFIG = ".ci_support/9.1/osx_arm64_python3.11.____cpython.yaml"


@pytest.fixture(scope="module")
def tree():
    declared = feedstock()
    return render(declared, number_builds(declared, golden_lock(), None))


def broken(tree: RenderedTree, path: str, old: str, new: str) -> RenderedTree:
    text = tree.files[path].decode()
    assert old in text, f"{path} does not say {old!r}"
    return RenderedTree(
        MappingProxyType({**tree.files, path: text.replace(old, new, 1).encode()}), tree.variants
    )


def test_what_is_rendered_passes(tree):
    check_tree(tree)


@pytest.mark.parametrize(
    ("path", "old", "new", "finding"),
    [
        (PYTORCH, "context:\n", "context: [\n", "does not parse"),
        (PYTORCH, "build:\n  number:", "build:\n  nummer:", "nummer"),
        (PYTORCH, "../../../wheelhouse/", "/home/me/wheelhouse/", "source/0"),
        (PYTORCH, "  license_file: licenses/\n", "", "license_file"),
        (
            PYTORCH,
            "libtorch ==${{ version }}",
            "libtorch =>${{ version }}",
            "rattler-build refuses it",
        ),
        (PYTORCH, "name: pytorch", "name: pyturch", "the matrix says"),
        (PYTORCH, "${{ 200 if", "${{ 201 if", "the matrix says"),
        # a selector that takes another Python's wheel, or none at all
        (
            PYTORCH,
            '- if: python == "3.14.* *_cp314t"',
            '- if: python == "3.14.* *_cp314"',
            "is made from",
        ),
        (
            PYTORCH,
            'linux and cuda_compiler_version == "None" and python == "3.11',
            'linux and python == "3.11',
            "is made from",
        ),
        (PYTORCH, "\n      then: packaging", "\n      then: ", "requirements/run"),
        ("recipes/9.1/pytorch/variants.yaml", '      - "3.14.* *_cp314t"\n', "", "variants.yaml"),
        ("recipes/9.1/torchvision/variants.yaml", '- "9.1.0"', '- "9.1.1"', "variants.yaml and"),
        ("recipes/9.1/libtorch/layout.json", '"do": "drop"', '"do": "delete"', "is not one of"),
        (CONFIG, "- osx-arm64\n", "- osx-arm64\r\n", "exactly one line end"),
        (CONFIG, "macos_machine:", "macos_maschine:", "macos_maschine"),
    ],
)
def test_a_defect_is_named_with_its_file(tree, path, old, new, finding):
    with pytest.raises(RenderError) as error:
        check_tree(broken(tree, path, old, new))

    assert finding in str(error.value), str(error.value)
    assert "9.1" in error.value.where


def test_two_packages_of_one_name_are_found(tree):
    """Two lines with the same torchvision would overwrite each other on the channel."""
    twin = {
        path.replace("/9.1/", "/9.2/"): content
        for path, content in tree.files.items()
        if "/9.1/torchvision/" in path or path.startswith(".ci_support/9.1/")
    }
    double = RenderedTree(
        MappingProxyType({**tree.files, **twin}),
        (
            *tree.variants,
            *(
                replace(v, line="9.2")
                for v in tree.variants
                if (v.line, v.package) == ("9.1", "torchvision")
            ),
        ),
    )

    with pytest.raises(RenderError, match="package of the same name, torchvision-"):
        check_tree(double)
