"""What rattler-build writes into a package's metadata for a variant, without building it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from generator.building.recipe import Inputs, render
from generator.model import Variant

#: fields of recipe.yaml's ``about`` -> those of info/about.json (CEP 13, CEP 34)
_ABOUT: Final = {
    "homepage": "home",
    "repository": "dev_url",
    "documentation": "doc_url",
    "license": "license",
    "summary": "summary",
}


def expected_metadata(variant: Variant, repo: Path) -> Mapping[str, Mapping[str, object]]:
    """Return fields that files below info/ have to have, by file.

    Raises:
        BuildError: the recipe cannot be rendered, or is not the matrix's.

    """
    recipe: dict[str, Any] = render(Inputs.of(variant, repo)).recipe.to_dict()
    build, wanted = recipe["build"], recipe.get("requirements", {})
    python: dict[str, Any] = build.get("python", {})
    name: str = recipe["package"]["name"]
    down: int = build.get("variant", {}).get("down_prioritize_variant", 0)
    found: dict[str, Mapping[str, object]] = {
        "info/index.json": {
            "name": name,
            "version": str(recipe["package"]["version"]),
            "build": build["string"],
            "build_number": build.get("number", 0),
            "subdir": variant.subdir,
            "platform": None if variant.subdir == "noarch" else variant.subdir.partition("-")[0],
            "arch": None if variant.subdir == "noarch" else variant.subdir.partition("-")[2],
            "depends": list(wanted.get("run", [])),
            "constrains": list(wanted.get("run_constraints", [])),
            "license": recipe["about"]["license"],
            "track_features": " ".join(f"{name}-p-{number}" for number in range(down)) or None,
            "noarch": "python" if python.get("version_independent") else build.get("noarch"),
        },
        "info/about.json": {
            **{new: recipe["about"].get(old) for old, new in _ABOUT.items()},
            "extra": recipe.get("extra"),
        },
        "info/recipe/rendered_recipe.yaml": {"recipe": recipe},
    }
    if python.get("version_independent"):
        points = {key: python[key] for key in ("entry_points",) if key in python}
        found["info/link.json"] = {
            "noarch": {"type": "python", **points},
            "package_metadata_version": 1,
        }
    return found
