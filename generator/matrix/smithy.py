"""What conda-smithy and conda-forge-pinning add to variant configs: data/smithy.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from generator.datafiles import load_data
from generator.model.closed import Closed


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
