"""Which file of a channel is which variant's: names, labels, and what the wheels of them weigh."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from generator.building import (
    file_name,
)
from generator.channel.local import LocalChannel
from generator.errors import AbsentError, BuildError, RenderError
from generator.feedstock import Feedstock
from generator.matrix import variants
from generator.model import Variant
from generator.packages import shared
from generator.project import Project


def labels(feedstock: Feedstock, chosen: Sequence[Variant]) -> tuple[str, ...]:
    """Return the labels that variants belong to, the channel itself ("") first."""
    return tuple(sorted({feedstock.label(variant.train) for variant in chosen}))


def built_packages(
    channel: LocalChannel, project: Project | None = None, chosen: Sequence[Variant] = ()
) -> tuple[Path, ...]:
    """Return the package files of a channel and its labels, or of chosen variants of a project.

    Raises AbsentError: the channel has none, or lacks one of the chosen.
    """
    if project is not None:
        feedstock = project.declared()
        return tuple(
            package_of(project, variant, channel.labelled(feedstock.label(variant.train)))
            for variant in chosen
        )
    found = tuple(sorted(channel.root.rglob("*.conda")))
    if not found:
        raise AbsentError(
            "there are no packages",
            where=str(channel.root),
            next_step="build some: armtorch up, or armtorch build; or name the folder: --channel",
        )
    return found


def package_of(project: Project, variant: Variant, channel: LocalChannel) -> Path:
    """Find the file of a variant; its name follows from the recipe."""
    name = file_name(variant, project.tree)
    if (path := channel.find(variant.subdir, name)) is not None:
        return path
    raise AbsentError(
        f"the channel has no {name}",
        where=str(channel.root),
        next_step=f"build it: armtorch build '{variant.id}' --out {channel.root}",
    )


def known_packages(project: Project) -> dict[tuple[str, str], Variant]:
    """Return the variant of every package that the lock and the recipes know.

    The keys are label and ``<subdir>/<file name>``: upstream's candidates can have the file names
    of the release.
    """
    feedstock, found = project.declared(), {}
    for variant in variants(feedstock, project.locked()):
        try:
            name = file_name(variant, project.tree)
        except (BuildError, RenderError):
            continue  # a recipe that is not rendered here
        found[feedstock.label(variant.train), f"{variant.subdir}/{name}"] = variant
    return found


def wheel_bytes(packages: Iterable[Variant | None]) -> int:
    """Return the bytes of the upstream wheels that these packages stand for.

    Packages that the lock does not know any more (None) count nothing, and neither do the shared
    ones, which are taken from the wheel of one of the Pythons.
    """
    wheels = {
        wheel.sha256: wheel.size
        for variant in packages
        if variant is not None and variant.package not in shared()
        for wheel in variant.wheels
    }
    return sum(wheels.values())
