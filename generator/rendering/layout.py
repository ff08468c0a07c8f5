"""layout.json: which member of a wheel goes where in one package, for build.py to follow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from pydantic import ConfigDict

from generator.datafiles import load_data
from generator.model import Cell, Metadata, Wheel
from generator.naming import dropped_requirements, needed_libraries, sonames
from generator.rendering.recipe import RecipeInputs

_CLOSED = ConfigDict(extra="forbid")
_SITE = "site-packages"


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A text patch: the pattern must be found exactly once."""

    __pydantic_config__ = _CLOSED

    pattern: str
    why: str
    replacement: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A row of data/layout.yaml; that file explains the words."""

    __pydantic_config__ = _CLOSED

    match: tuple[str, ...] = ()
    drop: str | None = None
    own: str | None = None
    share: str | None = None
    keep: bool = False
    bundled: bool = False
    common: bool = False
    required: bool = False
    patch: Patch | None = None
    #: the folder that is cut off the member's path
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class ProjectLayout:
    """How one upstream project's wheel is split."""

    __pydantic_config__ = _CLOSED

    package: str
    rules: tuple[Rule, ...]
    #: without a Python: libraries, headers
    shared_package: str | None = None
    #: for any Python: what site-packages has whatever the Python
    common_package: str | None = None
    link_folder: str | None = None


@dataclass(frozen=True, kw_only=True)
class LayoutFile:
    """The whole of data/layout.yaml."""

    __pydantic_config__ = _CLOSED

    format: Literal[1]
    projects: dict[str, ProjectLayout]
    licenses: tuple[str, ...]


@cache
def layouts() -> LayoutFile:
    """Read data/layout.yaml; DataError when a row does not fit."""
    return load_data("layout.yaml", LayoutFile)


def layout_text(inputs: RecipeInputs, *, smoke: bool) -> str:
    """Return layout.json for one recipe.

    Args:
        inputs: the recipe.
        smoke: whether its second test runs smoke.py, which rattler-build then puts into the
            package (rattler-build, ``write_test_files``).

    """
    wheels: dict[str, dict[str, Any]] = {}
    places: dict[str, dict[str, Any]] = {}
    package, lock = inputs.package, inputs.lock
    for variant in inputs.variants:
        cell, key = inputs.cells[variant.id], f"{variant.subdir}/{variant.accelerator}"
        for wheel in variant.wheels:
            wheels[wheel.sha256] = {
                "file": wheel.filename,
                "cell": key,
                "purl": wheel.purl,
                "size": wheel.size,
                "dist_info": _dist_info(package, wheel, lock.metadata[wheel.metadata]),
            }
            places.setdefault(key, _cell(package, wheel, cell))
    content = {
        "schema": 1,
        "package": package,
        "maximum_unpacked_ratio": inputs.feedstock.policies.maximum_unpacked_ratio,
        "licenses": layouts().licenses,
        "added_by_rattler_build": [f"etc/conda/test-files/{package}/1/smoke.py"] if smoke else [],
        "wheels": wheels,
        "cells": places,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _dist_info(package: str, wheel: Wheel, metadata: Metadata) -> dict[str, Any] | None:
    """Say what becomes of dist-info, which only the Python package has."""
    if package != layouts().projects[wheel.project].package:
        return None
    names = {canonicalize_name(Requirement(text).name) for text in dropped_requirements(metadata)}
    return {
        "drop_requirements": sorted(names),
        "commands": [script.split("=", 1)[0].strip() for script in wheel.console_scripts],
    }


def _cell(package: str, wheel: Wheel, cell: Cell) -> dict[str, Any]:
    layout = layouts().projects[wheel.project]
    rules: list[dict[str, Any]] = []
    for rule in layout.rules:
        if rule.bundled:
            rules += _bundled_rules(layout, wheel, cell, package)
        else:
            rules.append(_rule(layout, rule, package))
    links: list[dict[str, str]] = []
    if (
        layout.link_folder is not None
        and package == layout.package
        and cell.subdir.startswith("linux-")
    ):
        links = [
            {
                "at": f"{_SITE}/{layout.link_folder}/{library.name}",
                "to": library.target,
                "of": library.package or "",
                "why": "a RUNPATH of $ORIGIN is all that glibc follows",
            }
            for library in needed_libraries(
                package, version=wheel.version, subdir=cell.subdir, accelerator=cell.accelerator
            )
        ]
    place: dict[str, Any] = {"rules": rules, "links": links}
    if layout.shared_package is not None and cell.sharing is not None:
        sharing = cell.sharing
        place["shared"] = {
            "digest": sharing.digest,
            "per_python": list(sharing.per_python),
            "equivalent": [vars(row) for row in sharing.equivalent],
        }
    return place


def _rule(layout: ProjectLayout, rule: Rule, package: str) -> dict[str, Any]:
    """Put a row of layout.yaml into the words of build.py, for one of the wheel's packages."""
    said: dict[str, Any] = {"match": list(rule.match)}
    if rule.required:
        said["required"] = True
    if rule.drop is not None:
        return {**said, "do": "drop", "why": rule.drop}
    if rule.share is not None and package == layout.shared_package:
        return {**said, **_unpack_shared(rule)}
    common = rule.common and layout.common_package is not None
    holder = layout.common_package if common else layout.package
    if package != holder:
        return {**said, **_leave(layout, rule, package, holder)}
    if common or rule.share is not None:
        said["shared"] = True
    if rule.share is not None:
        moved = {"from": rule.source, "to": rule.share}
        return {**said, **moved, "do": "link", "of": layout.shared_package}
    if rule.own is not None:
        return {**said, "do": "unpack", "from": rule.source, "to": rule.own, "link_back": True}
    return {**said, "do": "unpack", "to": _SITE}


def _unpack_shared(rule: Rule) -> dict[str, Any]:
    said: dict[str, Any] = {"shared": True, "from": rule.source, "to": rule.share, "do": "unpack"}
    if rule.patch is not None:
        said["patch"] = {
            "pattern": rule.patch.pattern,
            "with": rule.patch.replacement,
            "why": rule.patch.why,
        }
    return said


def _leave(layout: ProjectLayout, rule: Rule, package: str, holder: str | None) -> dict[str, Any]:
    """Leave members to another package; the RECORD of the Python package lists them all the same.

    RECORD is about the distribution, whatever packages brought its files
    (packaging.python.org, recording installed projects).
    """
    said = {"do": "leave", "of": holder}
    if package != layout.package:
        return said
    return {**said, "record": "file" if rule.share is None else "link"}


def _bundled_rules(
    layout: ProjectLayout, wheel: Wheel, cell: Cell, package: str
) -> list[dict[str, Any]]:
    """Write rules for the third-party libraries that wheels of this version bundle."""
    found: list[dict[str, Any]] = []
    shared = package == layout.shared_package
    tops = (f"{wheel.project}/", f"{wheel.project}.", "*/")
    for copy, library in sonames(cell.subdir).bundled:
        if not copy.files.startswith(tops) or wheel.version not in SpecifierSet(
            copy.versions, prereleases=True
        ):
            continue
        action = copy.action or library.action
        said: dict[str, Any] = {"match": [copy.files]}
        folder = copy.files.rpartition("/")[0]
        if action == "drop":
            found.append({**said, "do": "drop", "why": library.note})
        elif package == layout.common_package:
            found.append({**said, "do": "leave", "of": layout.package})
        elif action == "unvendor":
            base = {
                **said,
                "do": "base",
                "to": library.target,
                "of": library.package,
                "why": library.note,
            }
            found.append({**base, "at": "lib"} if shared else base)
        elif layout.shared_package is None:
            found.append({**said, "do": "unpack", "to": _SITE, "why": library.note})
        elif shared:
            found.append(
                {
                    **said,
                    "do": "unpack",
                    "shared": True,
                    "from": folder,
                    "to": "lib",
                    "why": library.note,
                }
            )
        else:
            found.append(
                {
                    **said,
                    "do": "link",
                    "shared": True,
                    "from": folder,
                    "to": "lib",
                    "of": layout.shared_package,
                    "why": library.note,
                }
            )
    return found
