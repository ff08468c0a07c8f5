"""A channel of records without files, one per rendered variant: what a solver would see of them.

Building all variants takes hours and gigabytes; which of them a request gets is decided by their
records alone, and rattler-build's own rendering gives those. `test_solving.py` holds the records
of built packages against these.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rattler import Subdir
from rattler_build import (
    PlatformConfig,
    RenderConfig,
    Stage0Recipe,
    VariantConfig,
)

from generator.model import Variant


def record(variant: Variant, root: Path) -> tuple[str, dict[str, Any]]:
    """Return the file name and the repodata record of a variant."""
    target = variant.config.get("target_platform", (variant.subdir,))[0]
    platform = PlatformConfig(
        target_platform=target, build_platform=str(Subdir.current()), host_platform=target
    )
    (rendered,) = Stage0Recipe.from_file(root / variant.recipe_path).render(
        VariantConfig.from_file(root / variant.config_path), RenderConfig(platform)
    )
    recipe = rendered.recipe.to_dict()
    build, wanted = recipe["build"], recipe.get("requirements", {})
    name = f"{recipe['package']['name']}-{recipe['package']['version']}-{build['string']}.conda"
    found: dict[str, Any] = {
        "name": recipe["package"]["name"],
        "version": str(recipe["package"]["version"]),
        "build": build["string"],
        "build_number": build.get("number", 0),
        "subdir": variant.subdir,
        "depends": list(wanted.get("run", [])),
        "constrains": list(wanted.get("run_constraints", [])),
        "sha256": hashlib.sha256(name.encode()).hexdigest(),
        "size": 1,
        "timestamp": 1_700_000_000_000,
    }
    if build.get("noarch"):
        found["noarch"] = build["noarch"]
    if priority := build.get("variant", {}).get("down_prioritize_variant"):
        found["track_features"] = " ".join(
            f"{recipe['package']['name']}-p-{number}" for number in range(priority)
        )
    return name, found


def write(variants: Iterable[Variant], root: Path, folder: Path) -> str:
    """Write the channel and return its URL."""
    packages: dict[str, dict[str, Any]] = {"noarch": {}}
    for variant in variants:
        name, found = record(variant, root)
        packages.setdefault(variant.subdir, {})[name] = found
    for subdir, rows in packages.items():
        (folder / subdir).mkdir(parents=True, exist_ok=True)
        (folder / subdir / "repodata.json").write_text(
            json.dumps(
                {
                    "info": {"subdir": subdir},
                    "packages": {},
                    "packages.conda": rows,
                    "repodata_version": 1,
                }
            )
        )
    return folder.as_uri()
