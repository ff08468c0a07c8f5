"""What conda-smithy and conda-forge-pinning add to variant configs: data/smithy.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from generator.datafiles import load_data, subdirs
from generator.model import Accelerator, PythonBuild, Variant
from generator.model.closed import Closed
from generator.model.stem import stem

Config = dict[str, tuple[str, ...]]
#: subdir, accelerator and Python
_Place = tuple[str, Accelerator, PythonBuild | None]


@dataclass(frozen=True, kw_only=True)
class Platform(Closed):
    """The keys of one platform."""

    github_actions_labels: str
    docker_image: str | None = None
    macos_machine: str | None = None

    def keys(self) -> dict[str, tuple[str, ...]]:
        """Return the keys that have a value, as a variant config has them."""
        return {key: (value,) for key, value in vars(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Smithy(Closed):
    """The whole of data/smithy.yaml."""

    format: Literal[1]
    noarch_platform: str
    platforms: dict[str, Platform]


@cache
def smithy() -> Smithy:
    """Read data/smithy.yaml; DataError when a row does not fit."""
    return load_data("smithy.yaml", Smithy)


def shared_configs(own: Sequence[Variant]) -> list[Variant]:
    """Name the variant configs of a line as conda-smithy would for one recipe of all its packages.

    What is of no Python takes the one of its cell's first Python.
    """
    first: dict[tuple[str, Accelerator], PythonBuild] = {}
    for variant in own:
        if (python := variant.python or variant.group) is not None:
            cell = variant.subdir, variant.accelerator
            first[cell] = min(python, first.get(cell, python))

    def place(variant: Variant) -> _Place:
        cell = variant.subdir, variant.accelerator
        return (*cell, variant.python or variant.group or first.get(cell))

    configs: dict[_Place, Config] = {}
    for variant in own:
        known = configs.get(place(variant), {})
        configs[place(variant)] = dict(sorted({**known, **variant.config}.items()))
    names = {
        key: stem(subdirs()[key[0]].smithy_name, config, _loops(config, key[0], configs))
        for key, config in configs.items()
    }
    return [replace(variant, shared_config=names[place(variant)]) for variant in own]


def _loops(
    config: Config,
    subdir: str,
    configs: Mapping[_Place, Config],
) -> list[str]:
    here = [other for key, other in configs.items() if key[0] == subdir]
    return [key for key in config if len({other.get(key) for other in here} - {None}) > 1]
