"""Recipes: what the templates are filled with, one per line and package."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from generator.datafiles import subdirs
from generator.errors import RenderError
from generator.feedstock import Feedstock
from generator.matrix import METAPACKAGES
from generator.model import Cell, Lock, Metadata, Variant
from generator.naming import licence_of
from generator.packages import Package, choices, packages, unbound
from generator.rendering import templates
from generator.rendering.conditions import Place, Row, condition, rows
from generator.rendering.licenses import bundled_licenses, with_bundled
from generator.rendering.requirements import constraint_specs, run_specs
from generator.rendering.values import literal

_HEAD = (
    "# yaml-language-server: $schema="
    "https://raw.githubusercontent.com/prefix-dev/recipe-format/main/schema.json\n"
    "# Written by `armtorch render` from feedstock.lock.yaml and templates/; change those.\n"
)
#: what libtorch is for C++, below $PREFIX or its Library
_HEADERS = (
    "include/ATen/ATen.h",
    "include/c10/macros/Macros.h",
    "include/torch/script.h",
    "share/cmake/Torch/TorchConfig.cmake",
)
#: links that stand for moved files where there are links
_LINKS = {
    "pytorch": ["torch/lib/libtorch_python.*"],
    "pytorch-common": ["torch/share/cmake/Torch/TorchConfig.cmake"],
}
#: a recipe's licence text that is not out of a wheel
LICENSE = "LICENSE"
#: how deep the repository's root is above a recipe folder
_ROOT = "../../.."


@dataclass(frozen=True, kw_only=True)
class RecipeInputs:
    """One recipe: a line's package with all its variants."""

    line: str
    package: str
    variants: tuple[Variant, ...]
    #: the cell each variant is of; empty for metapackages
    cells: Mapping[str, Cell]
    feedstock: Feedstock
    lock: Lock

    @property
    def name(self) -> str:
        """``2.10/pytorch``, the key of its build number in the lock."""
        return f"{self.line}/{self.package}"

    @property
    def metadata(self) -> tuple[Metadata, ...]:
        """Of the variants' wheels; empty for metapackages."""
        wheels = (variant.wheels[0] for variant in self.variants if variant.wheels)
        return tuple(self.lock.metadata[wheel.metadata] for wheel in wheels)

    def number(self, package: str) -> int:
        """Return the build number of a package of this line, the CUDA offset left out."""
        build = self.lock.builds.get(f"{self.line}/{package}")
        return 0 if build is None else build.number


def recipe_text(inputs: RecipeInputs) -> str:
    """Return recipe.yaml.

    Raises RenderError: variants that one recipe cannot express. DataError: a fact that the data
    files lack.
    """
    build = inputs.lock.builds.get(inputs.name)
    filled = {
        "head": _HEAD,
        "package": inputs.package,
        "number": inputs.number(inputs.package),
        "libtorch_number": inputs.number("libtorch"),
        "common_number": inputs.number("pytorch-common"),
        "digest": "" if build is None else build.digest,
        "maintainers": ", ".join(inputs.feedstock.maintainers),
        "subdirs": sorted({variant.subdir for variant in inputs.variants}),
    }
    if inputs.line != METAPACKAGES:
        filled |= _line_facts(inputs)
    elif inputs.package in choices():
        filled |= {"choice": choices()[inputs.package]}
    return templates.environment().get_template(_template(inputs.package)).render(**filled)


def _template(package: str) -> str:
    row = packages().get(package)
    if row is not None and row.companion:
        return "_companion.yaml.jinja"
    if package in choices():
        return "_choice.yaml.jinja"
    return f"{'_unbound' if package in unbound() else package}.yaml.jinja"


def _line_facts(inputs: RecipeInputs) -> dict[str, object]:
    variants = inputs.variants
    facts: dict[str, object] = {
        "version": chosen({Place.of(v): v.version for v in variants}),
        "boards": any("arm_variant_type" in variant.config for variant in variants),
        "abi3": next((str(v.python) for v in variants if v.abi3), ""),
        "has_python": any(variant.python is not None for variant in variants),
        "without_gil": _without_gil(variants),
        "grouped": any(variant.group is not None for variant in variants),
    }
    if not variants[0].wheels:
        return facts
    cells, lock, row = inputs.cells, inputs.lock, packages()[inputs.package]
    run = {Place.of(v): run_specs(v, cells[v.id], lock) for v in variants}
    constraints = {Place.of(v): constraint_specs(v) for v in variants}
    scripts = {Place.of(v): [literal(s) for s in v.wheels[0].console_scripts] for v in variants}
    metadata = inputs.metadata
    licences = {licence_of(each) for each in metadata}
    expression = one({licence.expression for licence in licences}, inputs, "licences")
    files, site_packages = _contents(inputs)
    return facts | {
        "sources": list_lines(_sources(inputs), keyed=True),
        "run": list_lines(rows(run)),
        "run_constraints": list_lines(rows(constraints)),
        "entry_points": list_lines(rows(scripts)),
        "imports": row.imports or (row.project.replace("-", "_"),),
        "homepage": literal(row.homepage) if row.homepage else _home(metadata[0], row),
        "smoke": templates.smoke_program(inputs.package),
        "takes": _taken(row, variants),
        "license": literal(with_bundled(expression, bundled_licenses(inputs.package, variants))),
        "license_unknown": next((repr(each.unknown)[:80] for each in licences if each.unknown), ""),
        "license_file": license_file(inputs, metadata),
        "summary": literal(metadata[0].summary or metadata[0].name),
        "files": files,
        "site_packages": site_packages,
    }


def _taken(row: Package, variants: Sequence[Variant]) -> dict[str, str]:
    """Say what does not work without what a package of these variants takes where there is one."""
    return {
        name: taken.what
        for name, taken in row.takes.items()
        if any(v.version in SpecifierSet(taken.versions, prereleases=True) for v in variants)
    }


def _home(metadata: Metadata, row: Package) -> str:
    """Return the homepage that METADATA states; torch's own packages have it in their templates."""
    if row.project == "torch":
        return ""
    if re.fullmatch(r"https://[!-~]+", metadata.home):
        return literal(metadata.home)
    raise RenderError(
        f"METADATA of {metadata.name} {metadata.version} states no homepage, which a recipe needs",
        where=row.project,
        next_step="write one as homepage in its row of packages.yaml: docs/companions.md",
    )


def _without_gil(variants: Sequence[Variant]) -> str:
    """Write the tuple of the free-threaded builds' variant values; empty where there are none."""
    pythons = {python for v in variants if (python := v.python or v.group) is not None}
    found = "".join(f'"{p.variant_value}", ' for p in sorted(pythons) if p.freethreading)
    return f"({found.rstrip()})" if found else ""


def chosen(places: Mapping[Place, str]) -> str:
    """Write a value that may depend on the place: a quoted text, or a jinja expression."""
    different = list(dict.fromkeys(places.values()))
    if len(different) == 1:
        return f'"{different[0]}"'
    text = f'"{different[-1]}"'
    for value in reversed(different[:-1]):
        where = condition([p for p, v in places.items() if v == value], places)
        text = f'"{value}" if {where} else {text}'
    return f"${{{{ {text} }}}}"


def list_lines(found: Sequence[Row], *, keyed: bool = False) -> list[str]:
    """Write the rows as lines of a YAML list, conditional ones as ``if`` and ``then``.

    ``keyed``: the items of a row are the lines of one mapping.
    """
    text: list[str] = []
    for row in found:
        if row.condition is None:
            text += _mapping("- ", row.items) if keyed else [f"- {item}" for item in row.items]
        elif keyed:
            text += [f"- if: {row.condition}", f"  then: {{{', '.join(row.items)}}}"]
        elif len(row.items) == 1:
            text += [f"- if: {row.condition}", f"  then: {row.items[0]}"]
        else:
            text += [f"- if: {row.condition}", "  then:", *(f"    - {item}" for item in row.items)]
    return text


def _mapping(lead: str, lines: Sequence[str]) -> list[str]:
    return [f"{lead if first == 0 else ' ' * len(lead)}{line}" for first, line in enumerate(lines)]


def _sources(inputs: RecipeInputs) -> list[Row]:
    users: dict[tuple[str, str], set[Place]] = {}
    for variant in inputs.variants:
        for wheel in variant.wheels:
            users.setdefault((wheel.sha256, wheel.filename), set()).add(Place.of(variant))
    every = {Place.of(variant) for variant in inputs.variants}
    return [
        Row(
            condition(places, every),
            (
                f"path: {literal(f'{_ROOT}/wheelhouse/{sha256[:16]}/{filename}')}",
                f"sha256: {sha256}",
            ),
        )
        for (sha256, filename), places in users.items()
    ]


def _contents(inputs: RecipeInputs) -> tuple[list[str], list[str]]:
    """Name the files that the contents test looks for: in $PREFIX, and in site-packages."""
    places = sorted({Place.of(variant) for variant in inputs.variants})
    windows = {place: subdirs()[place.subdir].os == "win" for place in places}
    if inputs.package == "libtorch":
        found = {
            place: [f"{'Library/' * windows[place]}{path}" for path in (*_HEADERS, *_built(place))]
            for place in places
        }
        return list_lines(rows(found)), []
    linked = {place: [] if windows[place] else _LINKS.get(inputs.package, []) for place in places}
    own = {
        place: ["Library/bin/torch_python.dll"]
        if windows[place] and inputs.package == "pytorch"
        else []
        for place in places
    }
    return list_lines(rows(own)), list_lines(rows(linked))


def _built(place: Place) -> list[str]:
    """Return the libraries of libtorch that must be there, below $PREFIX or its Library."""
    pattern = {"linux": "lib/lib{}.so", "osx": "lib/lib{}.dylib", "win": "bin/{}.dll"}
    names = ["torch_cpu"] + ([] if place.accelerator.cuda is None else ["torch_cuda"])
    return [pattern[subdirs()[place.subdir].os].format(name) for name in names]


def one(values: set[str], inputs: RecipeInputs, what: str) -> str:
    """Return the only value, since a recipe has one place for it."""
    if len(values) != 1:
        raise RenderError(
            f"the wheels of {inputs.name} have several {what}: {sorted(values)}",
            where=inputs.name,
            next_step="add a row for it to the data files",
        )
    return values.pop()


def license_file(inputs: RecipeInputs, metadata: Sequence[Metadata]) -> str:
    """Return where the recipe's licence text is: unpacked from the wheel, or beside the recipe."""
    has = {bool(each.license_files) for each in metadata}
    if has == {True}:
        return "licenses/"
    if has == {False}:
        return LICENSE
    raise RenderError(
        "some wheels have licence texts and some have none",
        where=inputs.name,
        next_step="give the cells lines of their own in feedstock.yaml",
    )
