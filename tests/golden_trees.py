"""`python -m tests.golden_trees`: writes tests/golden/ anew from the locks in tests/locks.py.

Run it after a wanted change of templates/ or generator/rendering/ and read the diff.
"""

from __future__ import annotations

from pathlib import Path

from generator.model import Lock
from generator.rendering import RenderedTree, number_builds, render, write_tree
from generator.rendering.unpacking import FOLDER as UNPACKER
from tests.locks import Shelf, cpu_cell, cuda_cell, feedstock, osx_cell

FOLDER = Path(__file__).with_name("golden")


def golden_lock() -> Lock:
    """One line with a CPU, a CUDA and a macOS cell, and one with Jetson beside server boards."""
    shelf = Shelf()
    return shelf.lock(
        cpu_cell(shelf),
        cuda_cell(shelf),
        osx_cell(shelf),
        cuda_cell(shelf, "cuda126", "9.0", "9.0.1"),
        cuda_cell(shelf, "cuda126-tegra", "9.0", "9.0.1"),
    )


def golden_tree() -> RenderedTree:
    """The rendered tree of the golden lock, without copies of files of templates/."""
    declared = feedstock()
    tree = render(declared, number_builds(declared, golden_lock(), None))
    files = {
        path: content
        for path, content in tree.files.items()
        if not path.startswith(f"{UNPACKER}/") and path.rpartition("/")[2] != "LICENSE"
    }
    return RenderedTree(files, tree.variants)


if __name__ == "__main__":
    for difference in write_tree(golden_tree(), FOLDER):
        print(difference.kind, difference.path)
