"""Recipes and variant configs: rendered from the lock, checked, written and compared."""

from generator.rendering.checking import check_tree
from generator.rendering.folder import Difference, compare_tree, write_tree
from generator.rendering.numbering import check_numbers, digests, number_builds
from generator.rendering.tree import GENERATED, RenderedTree, render

__all__ = [
    "GENERATED",
    "Difference",
    "RenderedTree",
    "check_numbers",
    "check_tree",
    "compare_tree",
    "digests",
    "number_builds",
    "render",
    "write_tree",
]
