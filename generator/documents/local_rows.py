"""The rows that a channel lays over armtorch's own: a document of others, read within limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from generator.datafiles import take_rows
from generator.documents.files import read_bytes
from generator.documents.limits import limits
from generator.documents.yaml_text import load_yaml
from generator.errors import DataError
from generator.model.names import bad_plain

#: has patches of several lines, which go into layout.json
_OF_LINES: Final = "layout.yaml"


def lay_over(folder: Path | None) -> None:
    """Take rows from a folder before armtorch's own; to be called before any data is read."""
    take_rows(folder, _rows)


def _rows(path: Path) -> Any:
    try:
        content = read_bytes(path, limits().yaml.bytes)
    except OSError as error:
        raise DataError(
            error.strerror or str(error), where=str(path), next_step="mend the file"
        ) from error
    found = load_yaml(content, str(path), refuse=DataError)
    for text in _texts(found):
        lines = text.split("\n") if path.name == _OF_LINES else (text,)
        if why := next(filter(None, map(bad_plain, lines)), ""):
            raise DataError(
                f"{text[:80]!r} {why}", where=str(path), next_step="write it in other words"
            )
    return found


def _texts(node: Any) -> Iterator[str]:
    """Yield every text, keys among them: rows become parts of recipes, workflows and programs."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _texts(key)
            yield from _texts(value)
    elif isinstance(node, list):
        for each in node:
            yield from _texts(each)
