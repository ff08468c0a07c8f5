"""The unpacker lies once beside all recipes, packages name it, and verify knows all there were."""

from __future__ import annotations

import json
import subprocess

import pytest

from generator.datafiles import DATA
from generator.inspecting.verifying import unpackers
from generator.rendering import render
from generator.rendering.feedstock_tree import export_feedstock
from generator.rendering.unpacking import FOLDER, SCRIPTS, unpacker
from tests.locks import Shelf, cpu_cell, feedstock, torch_wheel
from tests.recipe_bench import bench


@pytest.fixture(scope="module")
def tree():
    shelf = Shelf()
    return render(feedstock(), shelf.lock(cpu_cell(shelf)))


def test_the_data_file_ends_with_the_unpacker_of_today():
    rows = [row.sha256 for row in unpackers()]
    assert rows[-1] == unpacker(), f"see the head of {DATA / 'unpackers.yaml'}"
    assert len(set(rows)) == len(rows)


def test_all_recipes_have_one_unpacker_in_common(tree):
    scripts = {path for path in tree.files if path.rpartition("/")[2] in SCRIPTS}
    assert scripts == {f"{FOLDER}/{name}" for name in SCRIPTS}
    unpacking = [path for path in tree.files if path.endswith("/layout.json")]
    for path in unpacking:
        recipe = tree.files[path.replace("layout.json", "recipe.yaml")]
        assert b"script: {interpreter: python, file: ../../_unpack/build.py}\n" in recipe
    assert len(unpacking) > 3


def test_its_digest_is_what_sha256sum_says(tree, tmp_path):
    for name in SCRIPTS:
        (tmp_path / name).write_bytes(tree.files[f"{FOLDER}/{name}"])
    printed = subprocess.run(
        ["sha256sum", *sorted(SCRIPTS)], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    again = subprocess.run(["sha256sum"], input=printed, capture_output=True, check=True).stdout
    assert again.split()[0].decode() == unpacker()


@pytest.mark.parametrize("name", SCRIPTS)
def test_another_unpacker_than_the_recipe_means_builds_nothing(tmp_path, name):
    made = bench(tmp_path, [torch_wheel("9.1.0", "cp311")])
    script = tmp_path / "_unpack" / name
    script.write_bytes(script.read_bytes() + b"# one line more\n")

    done = made.run()

    assert done.returncode == 1
    assert f"the recipe was made for {unpacker()}" in done.stderr
    assert "run `armtorch render`" in done.stderr
    assert not list(made.prefix.rglob("*"))


def test_a_changed_licence_text_is_not_packed(tmp_path):
    made = bench(tmp_path, [torch_wheel("9.1.0", "cp311")], package="libtorch")
    text = tmp_path / "_unpack" / "licenses" / "KleidiAI.txt"
    text.write_bytes(text.read_bytes() + b"and more\n")

    done = made.run()

    assert done.returncode == 1
    assert "KleidiAI.txt is not the file that the recipe means" in done.stderr


def test_a_changed_smoke_program_is_not_packed(tmp_path):
    made = bench(tmp_path, [torch_wheel("9.1.0", "cp311")])
    program = tmp_path / "_unpack" / "tests" / "pytorch.py"
    program.write_bytes(program.read_bytes() + b"# and more\n")

    done = made.run()

    assert done.returncode == 1
    assert "pytorch.py is not the file that the recipe means" in done.stderr


def test_the_smoke_program_is_where_rattler_build_looks_for_the_tests_files(tree, tmp_path):
    for path, content in tree.files.items():
        if path.endswith("/layout.json"):
            recipe = tree.files[path.replace("layout.json", "recipe.yaml")]
            runs = b"      source: [smoke.py]\n" in recipe
            assert runs == bool(json.loads(content)["test_files"])
    made = bench(tmp_path, [torch_wheel("9.1.0", "cp311")])
    assert made.run().returncode == 0
    program = (tmp_path / "_unpack" / "tests" / "pytorch.py").read_bytes()
    assert (tmp_path / "work" / "smoke.py").read_bytes() == program


def test_the_package_names_its_unpacker(tmp_path):
    made = bench(tmp_path, [torch_wheel("9.1.0", "cp311")])
    assert made.run().returncode == 0
    assert made.manifest()["unpacker"] == unpacker()


def test_an_exported_feedstock_has_an_unpacker_of_its_own(project, tmp_path):
    files = export_feedstock(project, "2.10/libtorch", tmp_path / "out")
    assert {f"recipe/_unpack/{name}" for name in SCRIPTS} <= set(files)
    assert "recipe/_unpack/licenses/LAPACK.txt" in files
    assert "recipe/_unpack/tests/pytorch.py" not in files
    recipe = (tmp_path / "out/recipe/recipe.yaml").read_text()
    assert "script: {interpreter: python, file: _unpack/build.py}\n" in recipe
    none = export_feedstock(project, "2.10/pytorch-cpu", tmp_path / "meta")
    assert not [path for path in none if "_unpack" in path]
