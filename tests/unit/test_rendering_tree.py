import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from generator.errors import RenderError
from generator.rendering import RenderedTree, check_tree, compare_tree, render, write_tree
from generator.rendering.variant_files import scalar
from tests.counts import count
from tests.golden_trees import FOLDER, golden_lock, golden_tree
from tests.locks import Shelf, cpu_cell, cuda_cell, feedstock
from tests.tiny_wheels import tiny_companion


@pytest.fixture(scope="module")
def tree():
    return render(feedstock(), golden_lock())


def text(tree: RenderedTree, path: str) -> str:
    return tree.files[path].decode()


def test_the_tree_is_the_golden_one():
    differences = compare_tree(golden_tree(), FOLDER)

    assert not differences, (
        "".join(f"{d.kind} {d.path}\n{d.diff}" for d in differences)
        + "\nif this change is wanted: python -m tests.golden_trees"
    )


def test_another_machine_time_and_hash_seed_give_the_same_bytes(tmp_path):
    script = (
        "from tests.locks import feedstock; from tests.golden_trees import golden_lock\n"
        "import hashlib, generator.rendering as r\n"
        "tree = r.render(feedstock(), golden_lock())\n"
        "print(hashlib.sha256(repr(sorted(tree.files.items())).encode()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            capture_output=True,
            text=True,
            cwd=cwd,
            env={"PYTHONPATH": str(root), "PATH": os.defpath, **env},
        ).stdout
        for cwd, env in (
            (root, {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "HOME": "/nowhere"}),
            (tmp_path, {"PYTHONHASHSEED": "2", "SOURCE_DATE_EPOCH": "0"}),
        )
    }

    assert len(found) == 1


# the classes of one letter keep this file from naming the hosts itself
HOSTS_AND_PLACES = re.compile(
    rb"\b[p]ypi\.|[p]ythonhosted|[d]ebian\.|[n]pmjs|/home/|/root/|/tmp/tmp"
)


def test_no_file_names_a_host_of_a_registry_or_a_place_on_this_machine(tree):
    for path, content in tree.files.items():
        assert not HOSTS_AND_PLACES.search(content), path


def test_every_wheel_has_one_readable_row(tree):
    recipe = YAML(typ="safe").load(text(tree, "recipes/9.1/pytorch/recipe.yaml"))

    assert [row["if"] for row in recipe["source"]] == [
        'linux and cuda_compiler_version == "None" and python == "3.11.* *_cpython"',
        'linux and cuda_compiler_version == "None" and python == "3.12.* *_cpython"',
        'python == "3.14.* *_cp314t"',
        'cuda_compiler_version != "None" and python == "3.11.* *_cpython"',
        'cuda_compiler_version != "None" and python == "3.12.* *_cpython"',
        'osx and python == "3.11.* *_cpython"',
        'osx and python == "3.12.* *_cpython"',
        'python == "3.13.* *_cp313"',
    ]


def test_markers_are_evaluated_for_the_target(tree):
    recipe = text(tree, "recipes/9.1/pytorch/recipe.yaml")

    assert (
        '    - if: linux and cuda_compiler_version == "None" and match(python, ">=3.12")\n'
        "      then: packaging\n"
    ) in recipe
    assert "- triton >=3.8.0,<3.9\n" in recipe
    assert "nvidia" not in recipe


def test_a_requirement_that_conda_satisfies_otherwise_leaves_metadata(tree):
    layout = json.loads(tree.files["recipes/9.1/pytorch/layout.json"])

    dropped = {cell: row["dist_info"]["drop_requirements"] for cell, row in layout["cells"].items()}

    assert dropped == {
        "linux-aarch64/cpu": [],
        "linux-aarch64/cuda130": ["nvidia-cudnn-cu13"],
        "osx-arm64/cpu": [],
    }


def test_a_wheel_that_wants_another_torch_is_refused():
    shelf = Shelf()
    cell = cpu_cell(shelf)
    metadata = {
        key: replace(value, requires_dist=("torch==8.0",)) if value.name == "torchvision" else value
        for key, value in shelf.metadata.items()
    }

    with pytest.raises(RenderError, match=r"torchvision 0\.91\.0 wants torch==8\.0"):
        render(feedstock(), replace(shelf.lock(cell), metadata=metadata))


def rendered_with(**facts: Any) -> RenderedTree:
    """Render a CPU cell whose wheels' METADATA say this."""
    shelf = Shelf()
    cell = cpu_cell(shelf)
    metadata = {key: replace(value, **facts) for key, value in shelf.metadata.items()}
    return render(feedstock(), replace(shelf.lock(cell), metadata=metadata))


def test_a_wheel_without_a_licence_text_says_so():
    tree = rendered_with(license_files=())
    recipe = tree.files["recipes/9.1/libtorch/recipe.yaml"].decode()
    assert "\n  license_file: LICENSE\n" in recipe
    text = tree.files["recipes/9.1/libtorch/LICENSE"].decode()
    assert text.startswith("The wheel of torch 9.1.0 carries no licence text.\n")


def test_a_licence_that_nobody_knows_is_published_under_a_reference_and_said_to_be_that():
    tree = rendered_with(license="BSD")
    recipe = tree.files["recipes/9.1/torchvision/recipe.yaml"].decode()
    # torchvision has a row: somebody read its text; triton's neighbour of that kind has none
    assert "\n  license: BSD-3-Clause\n" in recipe
    shelf = Shelf()
    cell = cuda_cell(shelf)
    triton = tiny_companion("triton", "3.8.0", "cp311", torch=None)
    wheel = shelf.add(triton)
    metadata = {
        key: replace(value, license="Whatever: it says") if value.name == "triton" else value
        for key, value in shelf.metadata.items()
    }
    filled = replace(
        cell,
        fill={"triton": "3.8.0"},
        wheels=(*cell.wheels, wheel),
        bundled={**cell.bundled, "triton": ()},
    )
    declared = replace(feedstock(), fill=("triton",))
    tree = render(declared, replace(shelf.lock(filled), metadata=metadata))
    recipe = tree.files["recipes/9.1/triton/recipe.yaml"].decode()
    assert (
        "  # METADATA states 'Whatever: it says', which SPDX has no name for: the text is in "
        "licenses/\n  license: LicenseRef-triton-Whatever-it-says\n  license_file: licenses/\n"
    ) in recipe
    check_tree(tree)


@pytest.mark.parametrize(
    "value",
    [
        "None",
        "13.0",
        "3.12.* *_cpython",
        "3.14.* *_cp314t",
        "1e3",
        "true",
        "1:30",
        "conda-forge,defaults",
        "a: b",
        "x #y",
        "it's",
    ],
)
def test_scalars_come_back_as_the_text_they_were(value):
    for version in ("1.1", "1.2"):
        yaml = YAML(typ="safe", pure=True)
        yaml.version = version
        assert yaml.load(f"key:\n- {scalar(value)}\n") == {"key": [value]}


@settings(max_examples=count("fuzz"))
@given(st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), min_size=1))
def test_any_printable_scalar_comes_back(value):
    yaml = YAML(typ="safe", pure=True)
    yaml.version = "1.1"
    assert yaml.load(f"key:\n- {scalar(value)}\n") == {"key": [value]}


def test_writing_makes_the_folder_like_the_tree_and_touches_nothing_else(tree, tmp_path):
    stray = tmp_path / "recipes" / "8.0" / "pytorch" / "recipe.yaml"
    stray.parent.mkdir(parents=True)
    stray.write_text("old\n")
    mine = tmp_path / "README.md"
    mine.write_text("mine\n")
    stale = tmp_path / "recipes/9.1/libtorch/recipe.yaml"
    stale.parent.mkdir(parents=True)
    stale.write_text("old\n")

    changed = {d.path: d.kind for d in write_tree(tree, tmp_path)}

    assert changed["recipes/8.0/pytorch/recipe.yaml"] == "stray"
    assert changed["recipes/9.1/libtorch/recipe.yaml"] == "stale"
    assert changed["recipes/9.1/pytorch/recipe.yaml"] == "missing"
    assert mine.read_text() == "mine\n"
    assert not (tmp_path / "recipes" / "8.0").exists()
    assert {
        p.relative_to(tmp_path).as_posix(): p.read_bytes()
        for p in tmp_path.rglob("*")
        if p.is_file() and p != mine
    } == dict(tree.files)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert write_tree(tree, tmp_path) == ()
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_comparing_says_what_is_stale_and_changes_nothing(tree, tmp_path):
    write_tree(tree, tmp_path)
    recipe = tmp_path / "recipes/9.1/pytorch/recipe.yaml"
    recipe.write_text(recipe.read_text().replace("name: pytorch", "name: pyturch"))
    (tmp_path / ".ci_support/9.1/linux_aarch64_.yaml").write_text("stray\n")
    (tmp_path / "recipes/9.1/libtorch/layout.json").unlink()

    found = {d.path: d for d in compare_tree(tree, tmp_path)}

    assert {path: d.kind for path, d in found.items()} == {
        ".ci_support/9.1/linux_aarch64_.yaml": "stray",
        "recipes/9.1/libtorch/layout.json": "missing",
        "recipes/9.1/pytorch/recipe.yaml": "stale",
    }
    diff = found["recipes/9.1/pytorch/recipe.yaml"].diff
    assert "-  name: pyturch\n+  name: pytorch\n" in diff
    assert "pyturch" in recipe.read_text()
