"""`armtorch lint` and `armtorch map` as a person runs them: text, JSON, exit codes."""

from __future__ import annotations

import json
import sys
import zipfile

import pytest

from tests.command_line import armtorch
from tests.conda_files import write_conda
from tests.unit.binaries import X86_64, elf

pytestmark = pytest.mark.integration


def test_lint_checks_what_is_rendered(feedstock_copy):
    done = armtorch("lint", cwd=feedstock_copy)
    assert done.returncode == 0, done.stderr
    assert "files are what they should be" in done.stdout
    recipe = feedstock_copy / "recipes/2.10/pytorch/recipe.yaml"
    recipe.write_text(recipe.read_text().replace("jinja2", "jinja3"))
    done = armtorch("lint", cwd=feedstock_copy)
    assert done.returncode == 1
    assert "recipes/2.10/pytorch/recipe.yaml" in done.stderr
    assert armtorch("lint", "2.10/*").returncode == 2


def test_lint_binaries_ends_with_22_where_an_error_is_open(tmp_path):
    good = elf(soname="libc10.so", versions={"libc.so.6": ["GLIBC_2.17"]})
    files = {"lib/libc10.so": good}

    def libtorch(build):
        depends = ["__glibc >=2.17"]
        return write_conda(tmp_path, "libtorch", "2.10.0", build, depends=depends, files=files)

    libtorch("cpu_generic_hgood_0")
    done = armtorch("lint", "--binaries", "--channel", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 packages, 0 trios: 0 errors" in done.stdout
    files["lib/libx.so"] = elf(["libnope.so"], machine=X86_64)
    path = libtorch("cpu_generic_hbad_0")
    done = armtorch("lint", "--binaries", path)
    assert done.returncode == 22
    assert "L-001 error lib/libx.so: it is for x86_64, not aarch64 (fix: " in done.stdout
    assert "open error" in done.stderr
    done = armtorch("lint", "--binaries", "--json", path)
    assert done.returncode == 22
    found = json.loads(done.stdout)
    assert found["errors"] == 1
    assert found["packages"][0]["findings"][0]["id"] == "L-001"


def test_lint_binaries_of_nothing_says_what_to_do(tmp_path):
    done = armtorch("lint", "--binaries", "--channel", tmp_path)
    assert done.returncode == 10
    assert "armtorch build" in done.stderr


def test_map_check_prints_rows_and_ends_with_5(tmp_path):
    wheel = tmp_path / "torch-2.16.0-cp312-cp312-manylinux_2_28_aarch64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("torch/lib/libtorch.so", elf(["libnew.so.3"], soname="libtorch.so"))
    done = armtorch("map", "check", "--wheel", wheel)
    assert done.returncode == 5
    assert "- name: libnew.so.3\n  subdirs:\n  - linux-aarch64\n" in done.stdout
    assert "docs/library-map.md" in done.stderr
    done = armtorch("map", "check", "--wheel", wheel, "--json")
    assert json.loads(done.stdout)["unknown"][0]["name"] == "libnew.so.3"


def test_map_exports_says_what_it_misses(tmp_path):
    done = armtorch("map", "exports", sys.executable, "--needed-by", sys.executable)
    assert done.returncode == 10
    assert "SONAME" in done.stderr
    lib = tmp_path / "libx.so"
    lib.write_bytes(elf(soname="libx.so"))
    done = armtorch("map", "exports", lib, "--needed-by", lib)
    assert done.returncode == 22
    assert "no dynamic symbols" in done.stderr


@pytest.mark.parametrize("arguments", [("lint",), ("map", "check"), ("map", "exports")])
def test_help_has_examples(arguments):
    done = armtorch(*arguments, "--help")
    assert done.returncode == 0
    assert f"  armtorch {' '.join(arguments)}" in done.stdout
