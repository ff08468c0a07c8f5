"""Reads and writes feedstock.lock.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from generator import atomic
from generator.datafiles import describe
from generator.documents import limits, load_yaml, read_text
from generator.errors import LockError
from generator.lock.consistency import inconsistencies
from generator.lock.document import ADAPTER, SCHEMA, digest_of, lock_text
from generator.model.cell import Lock

_ANEW = "restore the file from git, or delete it and run `armtorch update`"


def read_lock(path: Path) -> Lock:
    """Read the lock; a file that does not exist yet is an empty lock.

    Raises LockError: it cannot be read, was edited by hand, comes from a newer armtorch, or refers
    to METADATA it does not have.
    """
    try:
        text = read_text(path, limits().yaml.bytes)
    except FileNotFoundError:
        return Lock()
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(f"cannot be read: {error}", where=str(path), next_step=_ANEW) from error
    return parse_lock(text, where=str(path))


def parse_lock(text: str, *, where: str) -> Lock:
    """Read a lock's text; raises as :func:`read_lock` does."""
    raw = load_yaml(text, where, refuse=LockError, next_step=_ANEW, own=True)
    if not isinstance(raw, dict) or type(raw.get("schema")) is not int:
        raise LockError("not a lock: there is no schema number", where=where, next_step=_ANEW)
    if raw["schema"] > SCHEMA:
        raise LockError(
            f"written by a newer armtorch (schema {raw['schema']}, this one knows {SCHEMA})",
            where=where,
            next_step="update armtorch, or restore the older lock from git",
        )
    if _has_alias(raw):
        raise LockError(
            "it has YAML aliases, which armtorch does not write", where=where, next_step=_ANEW
        )
    content = {key: value for key, value in raw.items() if key not in {"schema", "digest"}}
    digest = _digest(content)
    if digest is None or raw.get("digest") != digest:
        raise LockError(
            "its content does not have its digest: it was edited by hand, or a merge "
            "mixed two versions",
            where=where,
            next_step=_ANEW,
        )
    try:
        lock = ADAPTER.validate_python(content)
    except ValidationError as error:
        raise LockError(describe(error), where=where, next_step=_ANEW) from error
    _refuse_inconsistent(lock, where, _ANEW)
    return lock


def write_lock(lock: Lock, path: Path) -> None:
    """Write the lock whole or not at all.

    Raises LockError: it could not be read again: it does not agree with itself, or is too long.
    StorageError: the folder cannot be written or the disk is full.
    """
    next_step = "report it; the lock that there was is as it was"
    _refuse_inconsistent(lock, str(path), next_step)
    text = lock_text(lock)
    if len(text) > (most := limits().yaml.bytes):
        what = f"it would have {len(text):,} bytes, {most:,} are read"
        raise LockError(what, where=str(path), next_step=next_step)
    atomic.write_text(path, text)


def _refuse_inconsistent(lock: Lock, where: str, next_step: str) -> None:
    if (why := next(inconsistencies(lock), None)) is not None:
        raise LockError(why, where=where, next_step=next_step)


def lock_schema_text() -> str:
    """Return the JSON Schema of the file as it is committed, for editors and CI."""
    schema = ADAPTER.json_schema()
    head = {
        "schema": {"type": "integer", "const": SCHEMA},
        "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    }
    full = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "properties": {**head, **schema["properties"]},
        "required": ["schema", "digest"],
    }
    return json.dumps(full, indent=2, ensure_ascii=False) + "\n"


def _digest(content: dict[str, Any]) -> str | None:
    """Return the digest of what a file holds; None for what no lock can hold (a date, a key 3)."""
    try:
        return digest_of(content)
    except (TypeError, UnicodeEncodeError, RecursionError):
        return None


def _has_alias(raw: Any) -> bool:
    """Whether a part of a document stands in two places: nine such in nine levels fill a memory."""
    seen: set[int] = set()
    waiting = [raw]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict | list) or not node:
            continue
        if id(node) in seen:
            return True
        seen.add(id(node))
        waiting += node.values() if isinstance(node, dict) else node
    return False
