"""Takes the machine out of ``info/recipe/rendered_recipe.yaml``, and writes YAML in one form."""

from __future__ import annotations

import io
import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.nodes import ScalarNode

#: what rattler-build's script environment calls the folders that it records with absolute paths
FOLDERS: Final = {
    "host_prefix": "$PREFIX",
    "build_prefix": "$BUILD_PREFIX",
    "work_dir": "$SRC_DIR",
    "build_dir": "$BUILD_DIR",
}


class _Reader(SafeConstructor):
    """Reads as a text what rattler-build's writer leaves bare and YAML takes for a number.

    It quotes what is a finite number (serde_yaml, ``parse_f64``), and not the hash ``09e4067``.
    """

    def fraction(self, node: ScalarNode) -> float | str:
        """Return a number; the text where it is too large for one."""
        number: float = self.construct_yaml_float(node)
        return number if math.isfinite(number) or "." in node.value else str(node.value)


_Reader.add_constructor("tag:yaml.org,2002:float", _Reader.fraction)


def normalise(content: bytes, *, milliseconds: int) -> bytes:
    """Replace folders, build machine, time, level and tools by what is the same everywhere.

    What remains are inputs: the recipe, the variant and the dependencies.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Reader
    document: dict[str, Any] = yaml.load(content)
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
    lines = _lines(value, "") if isinstance(value, dict | list) and value else [""]
    # a text of several lines is laid out by where it stands; so may a long key be
    if any(len(line.splitlines()) != 1 for line in lines):
        return _dumped(value)
    return ("\n".join(lines) + "\n").encode()


def _lines(value: dict[str, Any] | list[Any], pad: str) -> list[str]:
    """Lay out mappings and lists in block style, in a tenth of the time that ruamel takes."""
    found: list[str] = []
    if isinstance(value, dict):
        for key, each in value.items():
            if each and isinstance(each, dict | list):
                found.append(pad + _key(key))
                found += _lines(each, f"{pad}  " if isinstance(each, dict) else pad)
            else:
                found.append(f"{pad}{_key(key)} {_plain(each)}")
        return found
    for each in value:
        if each and isinstance(each, dict | list):
            first, *rest = _lines(each, f"{pad}  ")
            found += (f"{pad}- {first[len(pad) + 2 :]}", *rest)
        else:
            found.append(f"{pad}- {_plain(each)}")
    return found


def _plain(value: Any) -> str:
    return str(value) if value in ({}, []) else _scalar(value)


@lru_cache(maxsize=4096, typed=True)
def _scalar(value: float | str | None) -> str:
    return _dumped([value]).decode()[2:-1]


@lru_cache(maxsize=4096)
def _key(text: str) -> str:
    return _dumped({text: 0}).decode()[: -len(" 0\n")]


def _dumped(value: object) -> bytes:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.representer.ignore_aliases = lambda _: True
    yaml.width = 1 << 30
    yaml.allow_unicode = True
    buffer = io.BytesIO()
    yaml.dump(value, buffer)
    return buffer.getvalue()
