"""Recipes, variant configs and workflows: rendered from the lock, checked, written and compared."""

from generator.rendering.checking import check_tree
from generator.rendering.folder import Difference, compare_tree, refuse_links, write_tree
from generator.rendering.numbering import check_numbers, digests, number_builds
from generator.rendering.own_package import FOLDER as OWN_FOLDER
from generator.rendering.own_package import KEY as OWN_KEY
from generator.rendering.own_package import OwnPackage, own_package, with_own_row
from generator.rendering.records import tree_records
from generator.rendering.tree import (
    GENERATED,
    RenderedTree,
    recipe_files,
    recipe_tree,
    recipes,
    render,
)
from generator.rendering.workflows import (
    ARMTORCH,
    DEPENDENCIES,
    WORKFLOWS,
    action_pins,
    child_pipeline,
    is_untouched,
    workflow_files,
    workflow_settings,
)
