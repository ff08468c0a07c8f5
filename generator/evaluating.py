"""What recipes can see of the environment: rattler-build's expressions read it (``env.get``).

Upstream's texts are written into recipes as values (rendering/values.py); this is the second wall:
an expression that came in all the same would find nothing worth sending away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Literal

from generator.datafiles import load_data
from generator.model.closed import Closed


@dataclass(frozen=True, kw_only=True)
class Seen(Closed):
    """The whole of ``environment.yaml``."""

    format: Literal[1]
    variables: tuple[str, ...]


@cache
def _names() -> frozenset[str]:
    return frozenset(load_data("environment.yaml", Seen).variables)


def forget_environment() -> None:
    """Take from this process's environment what a recipe or a build is not to see."""
    for name in list(os.environ):
        if name.upper() not in _names():
            del os.environ[name]


@contextmanager
def evaluating() -> Iterator[None]:
    """Evaluate recipes without the rest of the environment, which is there again after that."""
    before = dict(os.environ)
    forget_environment()
    try:
        yield
    finally:
        os.environ.update({name: text for name, text in before.items() if name not in os.environ})
