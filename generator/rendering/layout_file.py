"""layout.json, which build.py follows: every rule once, for all its cells, and a row per wheel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from generator.feedstock import Feedstock
from generator.model import Cell, Metadata, Wheel
from generator.naming import dropped_requirements
from generator.packages import known_as, packages
from generator.rendering import templates
from generator.rendering.layout import cell_links, cell_rules, layout_of, layouts, on_windows
from generator.rendering.licenses import bundled_licenses
from generator.rendering.recipe import RecipeInputs
from generator.rendering.unpacking import sha256_of, unpacker

#: below templates/, and below recipes/_unpack
_LICENSES: Final = "licenses"
#: letters of a line of layout.json, so that a wheel or a rule is one line
_ROW: Final = 500


def beside_scripts(inputs: RecipeInputs) -> tuple[str, ...]:
    """Name what the unpacker is to find beside itself for a recipe: licence texts, a test."""
    rows = bundled_licenses(inputs.package, inputs.variants)
    texts = [f"{_LICENSES}/{name}" for row in rows for name in row.texts]
    return tuple(filter(None, (*texts, templates.smoke_program(inputs.package))))


def layout_text(inputs: RecipeInputs) -> str:
    """Return layout.json for one recipe."""
    package = inputs.package
    wheels: dict[str, dict[str, Any]] = {}
    cells: dict[str, dict[str, Any]] = {}
    rules: dict[str, list[dict[str, Any]]] = {}
    links: dict[str, list[dict[str, Any]]] = {}
    commit: dict[str, Any] = {}
    for variant in inputs.variants:
        cell, place = inputs.cells[variant.id], f"{variant.subdir}/{variant.accelerator}"
        # what is shared differs by the group of Pythons, and nothing else of a layout does
        split = variant.group is not None and packages()[package].project == "torch"
        key = f"{place}/{variant.group}" if split else place
        for wheel in variant.wheels:
            own = _dist_info(package, wheel, inputs.lock.metadata[wheel.metadata], variant.subdir)
            if key not in cells:
                cells[key] = {**own, **_shared(wheel, cell)}
                rules[key] = cell_rules(package, wheel, cell)
                links[key] = cell_links(package, wheel, cell)
            stated = layout_of(wheel.project).commit
            commit = {} if stated is None else {"commit": vars(stated)}
            wheels[wheel.sha256] = {
                "cell": key,
                "size": wheel.size,
                "hash_origin": wheel.hash_origin,
                "purl": wheel.purl,
                **(own if own.get("dist_info") != cells[key].get("dist_info") else {}),
            }
    content = {
        **_head(package, inputs.feedstock),
        "bundled_licenses": [
            {
                "part": row.part,
                "match": row.match,
                "texts": {
                    name: sha256_of(templates.read(f"{_LICENSES}/{name}")) for name in row.texts
                },
            }
            for row in bundled_licenses(inputs.package, inputs.variants)
        ],
        "test_files": _test_files(package),
        **commit,
        "rules": _once(rules),
        "links": _once(links),
        "cells": cells,
        "wheels": wheels,
    }
    return _laid_out(content, 0) + "\n"


def whole_wheel_text(
    package: str, wheel: Wheel, feedstock: Feedstock, drop_requirements: Sequence[str]
) -> str:
    """Return layout.json of a package that is all of one wheel, for every platform."""
    dist_info = {"drop_requirements": sorted(drop_requirements), "commands": []}
    told = {"size": wheel.size, "hash_origin": wheel.hash_origin, "purl": wheel.purl}
    content = {
        **_head(package, feedstock),
        "bundled_licenses": [],
        "test_files": {},
        "rules": [{"match": ["**"], "do": "unpack", "to": "site-packages"}],
        "links": [],
        "cells": {"noarch": {"dist_info": dist_info}},
        "wheels": {wheel.sha256: {"cell": "noarch", **told}},
    }
    return _laid_out(content, 0) + "\n"


def _head(package: str, feedstock: Feedstock) -> dict[str, Any]:
    return {
        "schema": 2,
        "package": package,
        "unpacker": unpacker(),
        "maximum_unpacked_ratio": feedstock.policies.maximum_unpacked_ratio,
        "licenses": layouts().licenses,
    }


def _test_files(package: str) -> dict[str, dict[str, Any]]:
    """Say what rattler-build packs for the recipe's second test (``write_test_files``)."""
    if not (name := templates.smoke_program(package)):
        return {}
    content = templates.read(name)
    row = {"from": name, "sha256": sha256_of(content), "size": len(content)}
    return {f"etc/conda/test-files/{package}/1/smoke.py": row}


def _dist_info(package: str, wheel: Wheel, metadata: Metadata, subdir: str) -> dict[str, Any]:
    """Say what becomes of dist-info, which only the Python package has."""
    if known_as(package) != layout_of(wheel.project).package:
        return {}
    names = {canonicalize_name(Requirement(text).name) for text in dropped_requirements(metadata)}
    commands = [
        launcher
        for script in wheel.console_scripts
        for launcher in _launchers(script.split("=", 1)[0].strip(), subdir)
    ]
    return {"dist_info": {"drop_requirements": sorted(names), "commands": commands}}


def _launchers(command: str, subdir: str) -> tuple[str, ...]:
    """Return the files that conda makes for a command, as RECORD names them (CEP 20)."""
    if on_windows(subdir):
        return (f"../../Scripts/{command}-script.py", f"../../Scripts/{command}.exe")
    return (f"../../../bin/{command}",)


def _shared(wheel: Wheel, cell: Cell) -> dict[str, Any]:
    if layout_of(wheel.project).shared_package is None or wheel.python is None:
        return {}
    if (sharing := cell.group_of(wheel.python)) is None:
        return {}
    return {
        "shared": {
            "digest": sharing.digest,
            "per_python": list(sharing.per_python),
            "equivalent": [vars(row) for row in sharing.equivalent],
        }
    }


def _once(lists: Mapping[str, Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Put the rows of all cells into one list, in which those of each cell keep their order.

    A row that is not every cell's names its ``cells``.
    """
    rows: list[tuple[dict[str, Any], list[str]]] = []
    for cell, own in lists.items():
        place = 0
        for row in own:
            known = next((n for n in range(place, len(rows)) if rows[n][0] == row), None)
            if known is None:
                rows.insert(place, (row, []))
                known = place
            rows[known][1].append(cell)
            place = known + 1
    return [row if len(cells) == len(lists) else {"cells": cells, **row} for row, cells in rows]


def _laid_out(value: object, depth: int) -> str:
    """Write JSON so that a row is a line, unless it is too long for one."""
    text, pad = json.dumps(value, ensure_ascii=False), "  " * depth
    if not value or not isinstance(value, dict | list | tuple):
        return text
    inner = value.values() if isinstance(value, dict) else value
    of_rows = depth == 0 or (depth == 1 and any(isinstance(each, dict) for each in inner))
    if not of_rows and len(pad) + len(text) <= _ROW:
        return text
    if isinstance(value, dict):
        lines = [
            f"{json.dumps(key, ensure_ascii=False)}: {_laid_out(each, depth + 1)}"
            for key, each in value.items()
        ]
        opening, closing = "{", "}"
    else:
        lines, opening, closing = [_laid_out(each, depth + 1) for each in value], "[", "]"
    between = f",\n{pad}  "
    return f"{opening}\n{pad}  {between.join(lines)}\n{pad}{closing}"
