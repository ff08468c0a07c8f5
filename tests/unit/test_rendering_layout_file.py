"""layout.json says a rule once for all its cells, and is read as if each cell had its own."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from generator.inspecting.deriving import of_wheel, stated
from generator.rendering import render
from generator.rendering.layout import cell_links, cell_rules
from generator.rendering.layout_file import _laid_out, _once
from tests.golden_trees import golden_lock
from tests.locks import Shelf, cpu_cell, cuda_cell, feedstock, osx_cell, torch_wheel
from tests.recipe_bench import bench
from tests.tiny_wheels import tiny_elf

NAMES = st.lists(st.sampled_from("abcdef"), max_size=6)


@given(st.dictionaries(st.sampled_from(["one", "two", "three"]), NAMES))
def test_the_rows_of_each_cell_keep_their_order(lists):
    rows = _once({cell: [{"match": name} for name in own] for cell, own in lists.items()})
    for cell, own in lists.items():
        assert [row["match"] for row in rows if cell in row.get("cells", [cell])] == own


def test_what_cells_have_in_common_stands_there_once():
    tree = render(feedstock(), golden_lock())
    layout = json.loads(tree.files["recipes/9.1/pytorch/layout.json"])
    said = [json.dumps({**row, "cells": 0}, sort_keys=True) for row in layout["rules"]]
    assert len(layout["cells"]) == 3
    assert len(said) == len(set(said))
    assert any("cells" in row for row in layout["rules"])
    assert not all("cells" in row for row in layout["rules"])


def test_each_wheel_is_told_what_its_cell_alone_would_be_told():
    shelf = Shelf()
    cells = cpu_cell(shelf), cuda_cell(shelf), osx_cell(shelf)
    tree = render(feedstock(), shelf.lock(*cells))
    for package in ("libtorch", "pytorch-common", "pytorch", "torchvision"):
        layout = json.loads(tree.files[f"recipes/9.1/{package}/layout.json"])
        found = [(c, w) for c in cells for w in c.wheels if w.sha256 in layout["wheels"]]
        assert len(found) >= 2
        for cell, wheel in found:
            rules = of_wheel(layout, "rules", wheel.sha256)
            links = of_wheel(layout, "links", wheel.sha256)
            plain = [{k: v for k, v in row.items() if k != "cells"} for row in (*rules, *links)]
            wanted = [*cell_rules(package, wheel, cell), *cell_links(package, wheel, cell)]
            assert plain == json.loads(json.dumps(wanted))


def test_a_wheel_is_a_line():
    tree = render(feedstock(), golden_lock())
    text = tree.files["recipes/9.1/pytorch/layout.json"].decode()
    layout = json.loads(text)
    assert len(layout["wheels"]) > 3
    lines = [line.strip().rstrip(",") for line in text.splitlines()]
    for sha256, row in layout["wheels"].items():
        assert f'"{sha256}": {json.dumps(row)}' in lines


@given(
    st.recursive(
        st.integers() | st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each)
    )
)
def test_whatever_is_laid_out_reads_back(value):
    assert json.loads(_laid_out({"it": value}, 0)) == {"it": value}


def test_what_a_wheel_says_of_itself_goes_before_what_its_cell_says(tmp_path):
    """Where the METADATA of one Python's wheel lacks a requirement, or has one more."""
    cuda = ("torch/lib/libtorch_cuda.so", tiny_elf(body=b"cuda"))
    wheels = [
        torch_wheel("9.1.0", "cp311", requires=("nvidia-cudnn-cu13==9.1; python_version>'3'",)),
        torch_wheel("9.1.0", "cp312", requires=("filelock",), extra=dict([cuda])),
    ]
    shelf = Shelf()
    tree = render(feedstock(), shelf.lock(shelf.cell("9.1", "cuda130", wheels)))
    rendered = json.loads(tree.files["recipes/9.1/pytorch/layout.json"])
    (other,) = [row["dist_info"] for row in rendered["wheels"].values() if "dist_info" in row]
    assert other["drop_requirements"] == []
    made = bench(tmp_path, wheels, accelerator="cuda130")
    path = tmp_path / "recipe" / "layout.json"
    layout = json.loads(path.read_text())
    (sha256,) = layout["wheels"]
    assert stated(layout, sha256, "dist_info") == {
        "drop_requirements": ["nvidia-cudnn-cu13"],
        "commands": ["../../../bin/torchrun"],
    }
    own: dict[str, list[str]] = {"drop_requirements": [], "commands": []}
    layout["wheels"][sha256]["dist_info"] = own
    path.write_text(json.dumps(layout))
    assert stated(layout, sha256, "dist_info") == own
    assert made.run().returncode == 0
    (metadata,) = made.site.glob("*.dist-info/METADATA")
    assert "Requires-Dist: nvidia-cudnn-cu13" in metadata.read_text()
