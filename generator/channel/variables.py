"""Tokens, keys and addresses in the environment, as people paste them into a CI's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping

from generator.errors import DeclinedError


def variable(environment: Mapping[str, str], name: str) -> str:
    """Return a variable without white space around it; "" where it is not set, or nothing.

    Raises DeclinedError: it has what no header and no address can have; it is not shown, since it
    may be a secret.
    """
    found = environment.get(name, "").strip()
    if re.fullmatch(r"[!-~]*", found) is None:
        raise DeclinedError(
            "it has white space in it, or letters that are not of ASCII",
            where=name,
            next_step="copy it again, without its quotes and in one line",
        )
    return found
