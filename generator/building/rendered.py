"""Takes the machine out of ``info/recipe/rendered_recipe.yaml``."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any, Final

from ruamel.yaml import YAML

#: what rattler-build's script environment calls the folders that it records with absolute paths
_FOLDERS: Final = {
    "host_prefix": "$PREFIX",
    "build_prefix": "$BUILD_PREFIX",
    "work_dir": "$SRC_DIR",
    "build_dir": "$BUILD_DIR",
}


def normalise(content: bytes, *, milliseconds: int, level: int) -> bytes:
    """Replace folders, build machine, time and draft level by what is the same everywhere.

    What remains are inputs: the recipe, the variant, the dependencies and the version of
    rattler-build.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 30  # as serde_yaml: never folds
    document: dict[str, Any] = yaml.load(content)
    built = document["build_configuration"]
    for key in built["directories"]:
        built["directories"][key] = _FOLDERS.get(key, f"${key.upper()}")
    for key in ("host_platform", "build_platform"):
        built[key] = {"platform": built["target_platform"], "virtual_packages": []}
    built["timestamp"] = (
        datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat().replace("+00:00", "Z")
    )
    built["packaging_settings"]["compression_level"] = level
    buffer = io.BytesIO()
    yaml.dump(document, buffer)
    return buffer.getvalue()
