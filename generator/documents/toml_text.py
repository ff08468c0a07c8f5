"""TOML of others, read by the standard library within the limits of YAML."""

from __future__ import annotations

import tomllib
from typing import Any

from generator.documents.limits import limits
from generator.errors import ArmtorchError, MalformedError


def load_toml(
    content: str,
    where: str,
    *,
    refuse: type[ArmtorchError] = MalformedError,
    next_step: str = "mend the file",
) -> dict[str, Any]:
    """Return what a TOML document holds.

    Raises ArmtorchError: of the kind ``refuse``: it is not TOML, too long, or nested too deeply.
    """
    if len(content) > (most := limits().yaml.bytes):
        raise refuse(
            f"it has {len(content):,} characters, {most:,} are read",
            where=where,
            next_step=next_step,
        )
    try:
        return tomllib.loads(content)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is one
        raise refuse(f"not TOML: {error}", where=where, next_step=next_step) from error
