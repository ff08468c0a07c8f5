"""The rows that a channel lays over armtorch's own: a document of others, read within limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generator.datafiles import take_rows
from generator.documents.files import read_bytes
from generator.documents.limits import limits
from generator.documents.yaml_text import load_yaml
from generator.errors import DataError


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
    return load_yaml(content, str(path), refuse=DataError)
