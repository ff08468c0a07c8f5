"""JSON of others, read by pydantic's own parser: strict, in Rust, and never deeper than it says.

Python's json takes lone surrogates, NaN, and as much nesting as the interpreter's stack.
"""

from __future__ import annotations

from math import isinf
from typing import Any, Final, TypeVar

import msgspec
from pydantic_core import from_json

from generator.documents.limits import limits
from generator.errors import ArmtorchError, MalformedError

_T = TypeVar("_T")
#: of the types that the parser makes
_LOOKED_AT: Final = frozenset({dict, list, float})


def load_json(
    content: bytes | str,
    where: str,
    *,
    refuse: type[ArmtorchError] = MalformedError,
    next_step: str = "report it to who serves it",
) -> Any:
    """Return what a JSON document holds.

    Raises ArmtorchError: of the kind ``refuse``: it is not JSON (RFC 8259), not UTF-8, too long, or
    nested too deeply.
    """
    allowed = limits().json
    if len(content) > allowed.bytes:
        raise refuse(
            f"it has {len(content):,} bytes, {allowed.bytes:,} are read",
            where=where,
            next_step=next_step,
        )
    marks = (",", "[", "{") if isinstance(content, str) else (b",", b"[", b"{")
    if sum(map(content.count, marks)) > allowed.values:  # type: ignore[arg-type]
        raise refuse(
            f"it has more than {allowed.values:,} values",
            where=where,
            next_step=next_step,
        )
    try:
        value = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise refuse(f"not JSON: {error}", where=where, next_step=next_step) from error
    if (why := _refused(value, allowed.depth)) is not None:
        raise refuse(why, where=where, next_step=next_step)
    return value


def split_json(content: bytes | msgspec.Raw, where: str) -> dict[str, msgspec.Raw]:
    """Return the members of a JSON object, each as the bytes it is written in.

    Of a channel's repodata one record at a time is an object in memory, and what is not changed is
    written as it was. What a member says is read by ``load_json``.
    Raises MalformedError: no JSON object.
    """
    return _split(content, where, dict[str, msgspec.Raw])


def split_json_array(content: bytes, where: str) -> list[msgspec.Raw]:
    """Return the elements of a JSON array, each as the bytes it is written in.

    Raises MalformedError: no JSON array.
    """
    return _split(content, where, list[msgspec.Raw])


def _split(content: bytes | msgspec.Raw, where: str, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        wanted = "array" if kind == list[msgspec.Raw] else "object"
        raise MalformedError(
            f"not a JSON {wanted}: {error}", where=where, next_step="report it to who serves it"
        ) from error


def _refused(value: Any, depth: int) -> str | None:
    """Say what is wrong with a value as a whole: its depth, or a number that no float can be."""
    level = [value] if type(value) in _LOOKED_AT else []
    for _ in range(depth + 1):
        if not level:
            return None
        inner = []
        for each in level:
            if type(each) is not float:
                values = each.values() if type(each) is dict else each
                inner += [one for one in values if type(one) in _LOOKED_AT]
            elif isinf(each):  # what the parser makes of 1e999, though it is told not to
                return "it has a number out of range"
        level = inner
    return f"it is nested more than {depth} deep"
