"""What a solver would see of the packages, before any of them is built: rendered repodata records.

Building all variants takes hours and gigabytes; which of them a request gets, and whether a base
channel can serve them, is decided by their records alone (CEP 36), and rattler-build's own
rendering gives those.
"""

from __future__ import annotations

import hashlib
from typing import Any

from rattler_build import (
    PlatformConfig,
    RattlerBuildError,
    RenderConfig,
    Stage0Recipe,
    VariantConfig,
)

from generator.errors import RenderError
from generator.evaluating import evaluating
from generator.model import Variant
from generator.rattler_names import RattlerSubdir
from generator.rendering.tree import RenderedTree
from generator.testing import NamedRecord


def tree_records(tree: RenderedTree) -> dict[str, NamedRecord]:
    """Return id -> file name and repodata record of every variant of a tree.

    Raises RenderError: rattler-build refuses a recipe, or makes several packages of a variant.
    """
    recipes: dict[str, Stage0Recipe] = {}
    found = {}
    for variant in tree.variants:
        path = variant.recipe_path
        try:
            if path not in recipes:
                recipes[path] = Stage0Recipe.from_yaml(tree.files[path].decode("utf-8"))
            config = VariantConfig.from_yaml(tree.files[variant.config_path].decode("utf-8"))
            found[variant.id] = _record(recipes[path], config, variant)
        except RattlerBuildError as error:
            raise RenderError(
                f"rattler-build refuses it: {error}",
                where=variant.id,
                next_step="run armtorch render, which checks every recipe",
            ) from error
    return found


def _record(recipe: Stage0Recipe, config: VariantConfig, variant: Variant) -> NamedRecord:
    target = variant.config.get("target_platform", (variant.subdir,))[0]
    platform = PlatformConfig(
        target_platform=target, build_platform=str(RattlerSubdir.current()), host_platform=target
    )
    with evaluating():
        (rendered,) = recipe.render(config, RenderConfig(platform))
    said = rendered.recipe.to_dict()
    package, build, wanted = said["package"], said["build"], said.get("requirements", {})
    name = f"{package['name']}-{package['version']}-{build['string']}.conda"
    record: dict[str, Any] = {
        "name": package["name"],
        "version": str(package["version"]),
        "build": build["string"],
        "build_number": build.get("number", 0),
        "subdir": variant.subdir,
        "depends": list(wanted.get("run", [])),
        "constrains": list(wanted.get("run_constraints", [])),
        "sha256": hashlib.sha256(name.encode()).hexdigest(),
        "size": 1,
        "timestamp": 0,
    }
    if variant.purls:
        record["purls"] = list(variant.purls)
    if build.get("noarch"):
        record["noarch"] = build["noarch"]
    if priority := build.get("variant", {}).get("down_prioritize_variant"):
        record["track_features"] = " ".join(
            f"{package['name']}-p-{number}" for number in range(priority)
        )
    return name, record
