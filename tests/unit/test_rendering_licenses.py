"""Licence texts for bundled parts that stay: every one has a text, an SPDX id and a place."""

from __future__ import annotations

import json

import pytest

from generator.console import Silent
from generator.datafiles import load_data
from generator.inspecting.read_wheel import pattern
from generator.model import Accelerator
from generator.naming import bundled, sonames
from generator.project import Project
from generator.rendering import render, templates
from generator.rendering.licenses import LicensesFile, with_bundled
from tests.own_feedstock import DECLARED

ROWS = load_data("licenses.yaml", LicensesFile).bundled


#: where wheels have had the libraries that stay: torch 2.0.1, 2.10.0
STAYING = (
    "torch/lib/libopenblas-24fd393f.so.0",
    "torch.libs/libopenblasp-r0-85d5f42e.3.25.so",
    "torch/lib/libarm_compute.so",
    "torch.libs/libarm_compute-7b943f51.so",
    "torch.libs/libarm_compute_core-0793f69d.so",
    "torch/lib/libarm_compute_graph.so",
)


def test_every_bundled_library_that_stays_has_a_licence_row():
    globs = [pattern(glob) for row in ROWS for glob in row.match]
    for member in STAYING:
        assert any(glob.fullmatch(member) for glob in globs), member
    kept = {
        name
        for subdir in ("linux-aarch64", "osx-arm64")
        for name, row in sonames(subdir).libraries.items()
        if row.action == "keep"
    }
    copies = bundled(STAYING, "linux-aarch64", "2.0.1", Accelerator())
    assert kept == {copy.library.name for copy in copies}


def test_every_text_is_there():
    for row in ROWS:
        for name in row.texts:
            text = templates.read(f"licenses/{name}").decode()
            assert "Copyright" in text or "Apache License" in text
        assert row.license


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("BSD-3-Clause", "BSD-3-Clause AND MIT AND Apache-2.0"),
        ("Apache-2.0 AND MIT", "Apache-2.0 AND MIT"),
        ("Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception AND MIT AND Apache-2.0"),
        ("A OR B", "(A OR B) AND MIT AND Apache-2.0"),
    ],
)
def test_their_licences_are_added_to_the_expression(expression, wanted):
    rows = [row for row in ROWS if row.license in {("MIT",), ("Apache-2.0",)}]
    assert with_bundled(expression, rows) == wanted


def test_the_real_recipes_carry_them():
    project = Project(feedstock=DECLARED, narrator=Silent())
    tree = render(project.declared(), project.known())
    texts = {"OpenBLAS.txt", "LAPACK.txt", "ComputeLibrary.txt", "KleidiAI.txt"}
    for line, wanted in (
        ("2.10", texts),
        ("legacy-2.8", texts),
        ("2.14", {"ComputeLibrary.txt", "KleidiAI.txt"}),
    ):
        layout = json.loads(tree.files[f"recipes/{line}/libtorch/layout.json"])
        assert {name for row in layout["bundled_licenses"] for name in row["texts"]} == wanted
        for name in wanted:
            assert tree.files[f"recipes/_unpack/licenses/{name}"] == templates.read(
                f"licenses/{name}"
            )
    recipe = tree.files["recipes/2.10/libtorch/recipe.yaml"].decode()
    assert "\n  license: BSD-3-Clause AND MIT AND Apache-2.0\n" in recipe
