"""Which unpackers armtorch has had, from ``generator/data/unpackers.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from pydantic import ConfigDict

from generator.datafiles import load_data
from generator.inspecting.manifest import Sha256


@dataclass(frozen=True, kw_only=True)
class Unpacker:
    """One of them."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    sha256: Sha256
    #: the first release that has it
    armtorch: str


@dataclass(frozen=True, kw_only=True)
class UnpackersFile:
    """The whole of data/unpackers.yaml."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    format: Literal[1]
    #: oldest first
    unpackers: tuple[Unpacker, ...]


@cache
def unpackers() -> tuple[Unpacker, ...]:
    """Read data/unpackers.yaml; DataError when a row does not fit."""
    return load_data("unpackers.yaml", UnpackersFile).unpackers
