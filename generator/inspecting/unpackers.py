"""Which unpackers armtorch has had, from ``generator/data/unpackers.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from generator.datafiles import load_data
from generator.inspecting.manifest import Sha256
from generator.model.closed import Closed


@dataclass(frozen=True, kw_only=True)
class Unpacker(Closed):
    """One of them."""

    sha256: Sha256
    #: the first release that has it
    armtorch: str


@dataclass(frozen=True, kw_only=True)
class UnpackersFile(Closed):
    """The whole of data/unpackers.yaml."""

    format: Literal[1]
    #: oldest first
    unpackers: tuple[Unpacker, ...]


@cache
def unpackers() -> tuple[Unpacker, ...]:
    """Read data/unpackers.yaml; DataError when a row does not fit."""
    return load_data("unpackers.yaml", UnpackersFile).unpackers
