"""What a solver would see of the packages, before any of them is built: rendered repodata records.

Building all variants takes hours and gigabytes; which of them a request gets, and whether a base
channel can serve them, is decided by their records alone (CEP 36), and rattler-build's own
rendering gives those.
"""

from __future__ import annotations

import hashlib

from rattler_build import RattlerBuildError, Stage0Recipe, VariantConfig

from generator.building import Expected
from generator.building.recipe import rendered
from generator.errors import RenderError
from generator.rendering.tree import RenderedTree
from generator.testing import NamedRecord


def tree_records(tree: RenderedTree) -> dict[str, NamedRecord]:
    """Return id -> file name and repodata record of every variant of a tree.

    Raises RenderError: rattler-build refuses a recipe, or makes several packages of a variant.
    """
    recipes: dict[str, Stage0Recipe] = {}
    found = {}
    for variant in tree.variants:
        path, target = variant.recipe_path, variant.config.get("target_platform", (variant.subdir,))
        try:
            if path not in recipes:
                recipes[path] = Stage0Recipe.from_yaml(tree.files[path].decode("utf-8"))
            config = VariantConfig.from_yaml(tree.files[variant.config_path].decode("utf-8"))
            (made,) = rendered(recipes[path], config, target[0])
        except RattlerBuildError as error:
            raise RenderError(
                f"rattler-build refuses it: {error}",
                where=variant.id,
                next_step="run armtorch render, which checks every recipe",
            ) from error
        expected = Expected(variant=variant, recipe={}, rendered=made)
        name = expected.file_name
        digest = hashlib.sha256(name.encode()).hexdigest()
        told = {"sha256": digest, "size": 1, "timestamp": 0}
        found[variant.id] = name, {"constrains": [], **expected.index(), **told}
    return found
