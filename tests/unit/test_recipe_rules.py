"""Each rule for recipes finds the recipe that breaks it, and no other."""

from __future__ import annotations

import pytest

from generator.rendering import number_builds, render
from tests.conftest import ROOT
from tests.golden_trees import golden_lock
from tests.locks import feedstock
from tests.recipe_rules import RULES, judge, recipe_files_of, recipe_folder, rules_markdown


@pytest.fixture(scope="module")
def files() -> dict[str, dict[str, bytes]]:
    declared = feedstock()
    return recipe_files_of(render(declared, number_builds(declared, golden_lock(), None)))


def test_rendered_recipes_keep_every_rule(files):
    assert len(files) > 10
    assert judge([recipe_folder(path, each) for path, each in files.items()]) == ()


BREAKS = {
    "R-000": ("schema_version: 1\n", "schema_version: 1\nextras: {}\n"),
    "R-002": ("  summary: ", "  sumary: "),
    "R-003": ("recipe-maintainers: ", "maintainers: "),
    "R-005": ("\ntests:\n", "\ncontext2:\n"),
    "R-007": ("license: BSD-3-Clause", "license: BSD license"),
    "R-008": ("  number: ${{", "  nummer: ${{"),
    "R-009": ("\n  run:\n    - python\n", "\n  ignored: []\n  run:\n    - python\n"),
    "R-011": ('"\n', '"\n\n\n'),
    "R-014": ("  name: pytorch\n", "  name: PyTorch\n"),
    "R-015": ("  version: ${{ version }}\n", ""),
    "R-019": (", sha256: ", ", md5: "),
    "R-020": ("build:\n", "build:\n  noarch: all\n"),
    "R-021": ("    - filelock\n", "    - filelock>=3\n"),
    "R-027": ('pin_subpackage("pytorch"', 'pin_subpackage("libtorch"'),
    "R-028": ("{path: ", "{path: https://example.org/torch.whl , x: "),
    "R-033": ("  run:\n", "  build: [\"${{ compiler('c') }}\"]\n  run:\n"),
    "R-040": ('version: "9.1.0"', "version: 9.1"),
    "R1-001": ("    - filelock\n", "    - filelock  # [win]\n"),
    "R1-006": ("    - python smoke.py\n", "      SP_DIR=x\n"),
    "A-001": ("    digest: ", "    sum: "),
}


@pytest.mark.parametrize("number", BREAKS)
def test_a_broken_rule_is_named(files, number):
    old, new = BREAKS[number]
    folder = dict(files["recipes/9.1/pytorch"])
    text = folder["recipe.yaml"].decode()
    assert old in text
    if number == "R-011":
        folder["recipe.yaml"] = (text + "\n").encode()
    else:
        folder["recipe.yaml"] = text.replace(old, new, 1 if number == "R-015" else -1).encode()
    assert number in {each.rule.id for each in judge([recipe_folder("x", folder)])}


def test_two_files_of_variants_are_named(files):
    folder = {**files["recipes/9.1/pytorch"], "variants.yaml": b"", "conda_build_config.yaml": b""}
    assert [each.rule.id for each in judge([recipe_folder("x", folder)])] == ["R-051"]


def test_every_rule_has_a_test_and_a_row_in_the_docs():
    assert {rule.id for rule in RULES} == {*BREAKS, "R-051"}
    assert rules_markdown() in (ROOT / "docs/conda-smithy.md").read_text()
