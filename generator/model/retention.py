"""What a destination keeps, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from generator.model.cell import TrainName
from generator.model.closed import Documented


@dataclass(frozen=True, kw_only=True)
class Keep(Documented):
    """How much of one train is kept; what neither limit retires stays."""

    versions: Annotated[int, Field(ge=1)] | None = None
    """The newest versions of each cell; older ones are retired. Without it, all."""
    days: Annotated[int, Field(ge=1)] | None = None
    """Versions whose packages are older are retired. Without it, age does not count."""
    builds: Annotated[int, Field(ge=1)] | None = None
    """The newest builds of one version; those they supersede are retired. Without it, all."""


def _kept() -> dict[TrainName, Keep]:
    return {"stable": Keep(), "rc": Keep(versions=3), "nightly": Keep(versions=14, days=30)}


@dataclass(frozen=True, kw_only=True)
class Retention(Documented):
    """What `armtorch retire` may take away from a destination."""

    keep: dict[TrainName, Keep] = field(default_factory=_kept)
    """Per train. A train that is not named is kept whole."""
