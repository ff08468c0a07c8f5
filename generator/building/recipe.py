"""Renders one rendered-to-disk recipe for one variant, with rattler-build itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rattler_build import (
    PlatformConfig,
    RattlerBuildError,
    RenderConfig,
    RenderedVariant,
    Stage0Recipe,
    VariantConfig,
)

from generator.errors import BuildError
from generator.evaluating import evaluating
from generator.model import Variant
from generator.rattler_names import RattlerSubdir

_NEXT = "run `armtorch render`, which brings recipes and variant configs up to date"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What rattler-build needs to know of a variant."""

    variant_id: str
    recipe: Path
    config: Path
    target_platform: str
    version: str
    build_number: int

    @classmethod
    def of(cls, variant: Variant, repo: Path) -> Inputs:
        """Return where the files of ``variant`` are below ``repo``, and what they have to say."""
        platforms = variant.config.get("target_platform", (variant.subdir,))
        return cls(
            variant_id=variant.id,
            recipe=repo / variant.recipe_path,
            config=repo / variant.config_path,
            target_platform=platforms[0],
            version=variant.version,
            build_number=variant.build_number,
        )


def render(inputs: Inputs) -> RenderedVariant:
    """Evaluate the recipe for its variant config.

    Raises BuildError: a file is missing or refused, or says something else than the matrix.
    """
    for path in (inputs.recipe, inputs.config):
        if not path.is_file():
            raise BuildError("there is no such file", where=str(path), next_step=_NEXT)
    return _evaluated(
        inputs,
        lambda: Stage0Recipe.from_file(inputs.recipe),
        lambda: VariantConfig.from_file(inputs.config),
    )


def evaluate(variant: Variant, recipe: str, config: str) -> RenderedVariant:
    """Evaluate the text of a recipe for that of its variant config; raises as `render` does."""
    return _evaluated(
        Inputs.of(variant, Path()),
        lambda: Stage0Recipe.from_yaml(recipe),
        lambda: VariantConfig.from_yaml(config),
    )


def _evaluated(
    inputs: Inputs, recipe: Callable[[], Stage0Recipe], config: Callable[[], VariantConfig]
) -> RenderedVariant:
    try:
        with evaluating():
            found = rendered(recipe(), config(), inputs.target_platform)
    except RattlerBuildError as error:
        raise BuildError(
            f"rattler-build refuses it: {error}", where=inputs.variant_id, next_step=_NEXT
        ) from error
    if len(found) != 1:
        raise BuildError(
            f"the recipe gives {len(found)} packages for this variant, not one",
            where=inputs.variant_id,
            next_step=_NEXT,
        )
    made = found[0].recipe
    said = (str(made.package.version), made.build.number)
    if said != (wanted := (inputs.version, inputs.build_number)):
        raise BuildError(
            f"the recipe says {_release(said)}, the lock {_release(wanted)}",
            where=str(inputs.recipe),
            next_step=_NEXT,
        )
    return found[0]


def rendered(recipe: Stage0Recipe, config: VariantConfig, target: str) -> list[RenderedVariant]:
    """Let rattler-build evaluate a recipe, whose host is where the package is to run."""
    platform = PlatformConfig(
        target_platform=target, build_platform=str(RattlerSubdir.current()), host_platform=target
    )
    with evaluating():
        return recipe.render(config, RenderConfig(platform))


def file_name_of(made: RenderedVariant) -> str:
    """Return the name of the package file that a rendered variant builds."""
    recipe = made.recipe
    return f"{recipe.package.name}-{recipe.package.version}-{recipe.build.string}.conda"


def _release(release: tuple[str, int]) -> str:
    return f"version {release[0]} build {release[1]}"
