"""Takes the machine out of ``info/recipe/rendered_recipe.yaml``, and writes YAML in one form."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any, Final

from ruamel.yaml import YAML

#: what rattler-build's script environment calls the folders that it records with absolute paths
FOLDERS: Final = {
    "host_prefix": "$PREFIX",
    "build_prefix": "$BUILD_PREFIX",
    "work_dir": "$SRC_DIR",
    "build_dir": "$BUILD_DIR",
}


def normalise(content: bytes, *, milliseconds: int) -> bytes:
    """Replace folders, build machine, time, level and tools by what is the same everywhere.

    What remains are inputs: the recipe, the variant and the dependencies.
    """
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(content)
    built = document["build_configuration"]
    for key in built["directories"]:
        built["directories"][key] = FOLDERS.get(key, f"${key.upper()}")
    built |= neutral(built["target_platform"], milliseconds=milliseconds)
    document["system_tools"] = {}
    return yaml_text(document)


def neutral(target_platform: str, *, milliseconds: int) -> dict[str, Any]:
    """Return the parts of a build's configuration that say nothing of where it ran."""
    machine = {"platform": target_platform, "virtual_packages": []}
    when = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat().replace("+00:00", "Z")
    return {
        "host_platform": machine,
        "build_platform": dict(machine),
        "timestamp": when,
        # the level is the archive's, and not its content's
        "packaging_settings": {"archive_type": "conda", "compression_level": 0},
    }


def yaml_text(value: object) -> bytes:
    """Return YAML as rattler-build lays it out: keys as they come, nothing folded."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.representer.ignore_aliases = lambda _: True
    yaml.width = 1 << 30
    yaml.allow_unicode = True
    buffer = io.BytesIO()
    yaml.dump(value, buffer)
    return buffer.getvalue()
