"""How much of outside is read and how long it is waited for: ``generator/data/limits.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from generator.datafiles import load_data
from generator.model.closed import Closed


@dataclass(frozen=True, kw_only=True)
class JsonLimits(Closed):
    """Of one JSON document."""

    bytes: int
    #: lists and objects within each other
    depth: int
    #: a number
    values: int


@dataclass(frozen=True, kw_only=True)
class YamlLimits(Closed):
    """Of one YAML document."""

    bytes: int
    depth: int
    #: scalars, lists and mappings, with every alias written out
    nodes: int


@dataclass(frozen=True, kw_only=True)
class PageLimits(Closed):
    """Bytes of an index's page, by how it is written."""

    json: int
    html: int
    #: numbers
    files: int
    tags: int
    lines: int
    #: of a list of shards
    shards: int
    #: a number
    refused: int


@dataclass(frozen=True, kw_only=True)
class ZipLimits(Closed):
    """Of a zip file; bytes where nothing else is said."""

    members: int
    directory: int
    text: int
    #: lines of METADATA before its description, a number
    headers: int
    #: of what the lock names of a wheel, a number of each kind
    listed: int
    #: unpacked by packed bytes of one member that is read whole
    ratio: int
    always: int


@dataclass(frozen=True, kw_only=True)
class WaitLimits(Closed):
    """Patience with servers; seconds, where nothing else is said. The data file explains them."""

    connect: float
    idle: float
    answer: float
    #: bytes a second
    slowest: int
    #: a number
    retries: int
    backoff: float
    longest_pause: float
    #: a number
    redirects: int
    host: float
    together: float
    repodata: float
    index: float


@dataclass(frozen=True, kw_only=True)
class Limits(Closed):
    """The whole of ``limits.yaml``."""

    format: Literal[1]
    json: JsonLimits
    yaml: YamlLimits
    page: PageLimits
    zip: ZipLimits
    wait: WaitLimits


@cache
def limits() -> Limits:
    """Read data/limits.yaml; DataError when a row does not fit."""
    return load_data("limits.yaml", Limits)
