"""How much of a package is read, from ``generator/data/verifying.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from generator.datafiles import load_data
from generator.model.closed import Closed


@dataclass(frozen=True, kw_only=True)
class Limits(Closed):
    """Upper bounds, in bytes where nothing else is said; the data file explains them."""

    format: Literal[1]
    #: a number
    entries: int
    info_file: int
    info: int
    text: int
    binary: int
    header: int
    file: int
    #: unpacked by packed bytes
    ratio: int
    always: int
    window: int
    #: unpacked by packed bytes
    wheel_ratio: int
    symbols: int
    inflated: int


@cache
def limits() -> Limits:
    """Read data/verifying.yaml; DataError when a row does not fit."""
    return load_data("verifying.yaml", Limits)
