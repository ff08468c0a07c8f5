"""Everything that render writes, as bytes by path; computed from the lock alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Final

from generator.feedstock import Feedstock
from generator.matrix import METAPACKAGES, variants
from generator.model import Cell, Lock, Variant
from generator.rendering import templates
from generator.rendering.layout_file import beside_scripts, layout_text
from generator.rendering.licenses import license_note
from generator.rendering.recipe import LICENSE, RecipeInputs, license_file, recipe_text
from generator.rendering.unpacking import unpacker_files
from generator.rendering.variant_files import ci_support_files, variants_text
from generator.rendering.workflows import workflow_files

#: folders that hold generated files only: anything else in them is a stray
GENERATED: Final = ("recipes", ".ci_support")


@dataclass(frozen=True)
class RenderedTree:
    """What render writes: path relative to the repository, forward slashes -> content."""

    files: Mapping[str, bytes]
    variants: tuple[Variant, ...]


def render(feedstock: Feedstock, lock: Lock) -> RenderedTree:
    """Render recipes, variant configs and workflows; the same inputs give the same bytes, anywhere.

    Raises RenderError: the lock holds something recipes cannot express.
    MalformedError: METADATA that makes no sense.
    UnknownError: a data file lacks a fact.
    """
    tree = recipe_tree(feedstock, lock)
    files = {**workflow_files(feedstock), **tree.files}
    return RenderedTree(MappingProxyType(dict(sorted(files.items()))), tree.variants)


def recipe_tree(feedstock: Feedstock, lock: Lock) -> RenderedTree:
    """Render recipes and variant configs only, which a lock can spoil; raises as `render`."""
    found = variants(feedstock, lock)
    files: dict[str, bytes] = {}
    beside: set[str] = set()
    for inputs in recipes(feedstock, lock, found):
        files.update(recipe_files(inputs))
        beside.update(beside_scripts(inputs))
    files |= ci_support_files(found)
    if any(variant.wheels for variant in found):
        files |= unpacker_files(beside)
    return RenderedTree(MappingProxyType(files), found)


def recipes(
    feedstock: Feedstock, lock: Lock, found: tuple[Variant, ...]
) -> tuple[RecipeInputs, ...]:
    """Group variants by recipe, in the order in which they can be built."""
    places = {(cell.line, cell.subdir, cell.accelerator): cell for cell in lock.cells}
    inputs = []
    for (line, package), group in groupby(found, key=lambda each: (each.line, each.package)):
        of_recipe = tuple(group)
        cells: dict[str, Cell] = (
            {}
            if line == METAPACKAGES
            else {each.id: places[each.line, each.subdir, each.accelerator] for each in of_recipe}
        )
        inputs.append(
            RecipeInputs(
                line=line,
                package=package,
                variants=of_recipe,
                cells=cells,
                feedstock=feedstock,
                lock=lock,
            )
        )
    return tuple(inputs)


def recipe_files(inputs: RecipeInputs) -> dict[str, bytes]:
    """Return the files of one recipe folder, by path."""
    folder = f"recipes/{inputs.line}/{inputs.package}"
    files = {"recipe.yaml": recipe_text(inputs).encode("utf-8")}
    if text := variants_text(inputs.variants):
        files["variants.yaml"] = text.encode("utf-8")
    metadata = inputs.metadata
    if not metadata:
        files[LICENSE] = templates.read("licenses/metapackage.txt")
    else:
        files["layout.json"] = layout_text(inputs).encode("utf-8")
        if license_file(inputs, metadata) == LICENSE:
            files[LICENSE] = license_note(metadata[0]).encode("utf-8")
    return {f"{folder}/{name}": content for name, content in files.items()}
