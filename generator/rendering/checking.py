"""Holds a rendered tree against its schemas and against rattler-build, before it is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from jsonschema_rs import Draft202012Validator
from rattler_build import (
    JinjaConfig,
    PlatformConfig,
    RattlerBuildError,
    Stage0Recipe,
    VariantConfig,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from generator.building.recipe import file_name_of, rendered
from generator.datafiles import DATA
from generator.errors import RenderError
from generator.evaluating import evaluating
from generator.model import Variant
from generator.rendering.tree import RenderedTree

_NEXT: Final = "this is a defect of templates/ or generator/rendering; mend it there"
_SCHEMAS: Final = {"recipe.yaml": "recipe.schema.json", "variants.yaml": "variants.schema.json"}


def check_tree(tree: RenderedTree) -> None:
    """Parse everything back, check it against its schema, and let rattler-build render it.

    For every variant rattler-build must give one package with the matrix' name, version and build
    number, made from the variant's wheel and no other. A recipe with its own variants.yaml must
    give the same packages, and no two packages of a subdir may have one file name.
    Raises RenderError: something is not so; the message names the file.
    """
    # most variant configs and layouts are equal: the packages of a cell have the same
    first: dict[tuple[str, bytes], str] = {}
    for path, content in tree.files.items():
        if first.setdefault((_kind(path), content), path) == path:
            _check_text(path, content)
    # once for all: what is within it finds an environment of a few names
    with TemporaryDirectory(prefix="armtorch-check-") as folder, evaluating():
        # in one folder and each text once: that is half of the time
        texts = {path: first[_kind(path), content] for path, content in tree.files.items()}
        at = {path: Path(folder, text.replace("/", "+")) for path, text in texts.items()}
        for path, text in texts.items():
            if path == text and path.endswith(".yaml"):
                at[path].write_bytes(tree.files[path])
        recipes = {path: _recipe(at[path], path) for path in {v.recipe_path for v in tree.variants}}
        configs = {
            at[path]: _config(at[path], path)
            for path in {texts[v.config_path] for v in tree.variants}
        }
        files: dict[tuple[str, str], str] = {}
        by_recipe: dict[tuple[str, str], set[str]] = {}
        for variant in tree.variants:
            config = configs[at[variant.config_path]]
            name = _check_variant(recipes[variant.recipe_path], config, variant)
            if (other := files.setdefault((variant.subdir, name), variant.id)) != variant.id:
                lines = other.partition("/")[0], variant.line
                raise RenderError(
                    f"{other} gives a package of the same name, {name}",
                    where=variant.id,
                    next_step=_NEXT
                    if len(set(lines)) == 1
                    else f"the lines {' and '.join(lines)} of feedstock.yaml have one torch: run "
                    "`armtorch update`, which makes them one",
                )
            by_recipe.setdefault((variant.recipe_path, variant.subdir), set()).add(name)
        for (path, subdir), names in sorted(by_recipe.items()):
            beside = f"{path.rpartition('/')[0]}/variants.yaml"
            alone = _alone(recipes[path], at[beside], subdir, beside)
            if odd := sorted(alone ^ names):
                raise RenderError(
                    f"on {subdir} variants.yaml and .ci_support differ in {odd[:3]}",
                    where=path,
                    next_step=_NEXT,
                )


def _kind(path: str) -> str:
    """Return the name of a file's schema; "" for workflows, which `make lint` judges, and texts."""
    name = path.rpartition("/")[2]
    if name.endswith(".yaml"):
        return _SCHEMAS.get(name, "variants.schema.json")
    return "layout.schema.json" if name.endswith(".json") else ""


def _check_text(path: str, content: bytes) -> None:
    if not content.endswith(b"\n") or content.endswith(b"\n\n") or b"\r" in content:
        raise RenderError("does not end in exactly one line end", where=path, next_step=_NEXT)
    if not (kind := _kind(path)):
        return
    try:
        if path.endswith(".yaml"):
            found = YAML(typ="safe", pure=False).load(content.decode("utf-8"))
        else:
            found = json.loads(content)
    except (YAMLError, ValueError) as error:
        raise RenderError(f"does not parse: {error}", where=path, next_step=_NEXT) from error
    if flaws := list(islice(_flaws(kind, found), 3)):
        raise RenderError("; ".join(flaws), where=path, next_step=_NEXT)


def _flaws(schema: str, found: object) -> Iterator[str]:
    try:
        for finding in _validator(schema).iter_errors(found):
            place = "/".join(str(part) for part in finding.instance_path) or "the file"
            yield f"{place}: {finding.message[:300]}"
    except ValueError as error:  # a date, or a key that is no text: what JSON has not
        yield f"the file: {error}"


@cache
def _validator(name: str) -> Draft202012Validator:
    schema: dict[str, Any] = json.loads((DATA / "schemas" / name).read_text("utf-8"))
    return Draft202012Validator(schema)


@contextmanager
def _accepted(where: str) -> Iterator[None]:
    try:
        yield
    except RattlerBuildError as error:
        raise RenderError(
            f"rattler-build refuses it: {error}", where=where, next_step=_NEXT
        ) from error


def _recipe(file: Path, where: str) -> Stage0Recipe:
    with _accepted(where):
        return Stage0Recipe.from_file(file)


def _config(file: Path, where: str) -> VariantConfig:
    with _accepted(where):
        return VariantConfig.from_file(file)


def _check_variant(recipe: Stage0Recipe, config: VariantConfig, variant: Variant) -> str:
    with _accepted(variant.id):
        found = rendered(recipe, config, variant.subdir)
    if len(found) != 1:
        raise RenderError(
            f"gives {len(found)} packages, not one", where=variant.id, next_step=_NEXT
        )
    made = found[0].recipe
    said = (str(made.package.name), str(made.package.version), made.build.number)
    wanted = (variant.package, variant.version, variant.build_number)
    if said != wanted:
        raise RenderError(
            f"gives {said}, the matrix says {wanted}", where=variant.id, next_step=_NEXT
        )
    sources = sorted(str(source.to_dict().get("sha256")) for source in made.sources)
    wheels = sorted(wheel.sha256 for wheel in variant.wheels)
    if sources != wheels:
        raise RenderError(
            f"is made from {sources}, the lock says {wheels}", where=variant.id, next_step=_NEXT
        )
    return file_name_of(found[0])


def _alone(recipe: Stage0Recipe, file: Path, subdir: str, where: str) -> set[str]:
    """Return the packages that a recipe gives with its own variants.yaml."""
    jinja = JinjaConfig(PlatformConfig(target_platform=subdir, host_platform=subdir))
    with _accepted(where), evaluating():
        config = VariantConfig.from_file_with_context(file, jinja)
        return {file_name_of(each) for each in rendered(recipe, config, subdir)}
