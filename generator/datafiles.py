"""Reads armtorch's own data files and checks them before anyone uses a row.

Facts about platforms, names, SONAMEs, policies and pins live in ``generator/data/*.yaml``, never
in Python literals, so that a person can read and mend them without reading code.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from generator.errors import DataError
from generator.model.subdir import Subdir

T = TypeVar("T")

DATA: Final = Path(__file__).parent / "data"


def load_data(name: str, kind: type[T]) -> T:
    """Read ``generator/data/<name>`` as ``kind``.

    Raises:
        DataError: the file is not YAML, or a row does not fit; the message names the row.

    """
    path = DATA / name
    try:
        raw = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        return TypeAdapter(kind).validate_python(raw)
    except (OSError, YAMLError) as error:
        raise DataError(str(error), where=str(path), next_step="reinstall armtorch") from error
    except ValidationError as error:
        raise DataError(describe(error), where=str(path), next_step="mend the row") from error


def describe(error: ValidationError) -> str:
    """Put pydantic's findings into one line each: where in the file, and what is wrong."""
    return "; ".join(
        f"{'.'.join(str(part) for part in found['loc']) or 'the file'}: {found['msg']}"
        for found in error.errors(include_url=False)
    )


@cache
def subdirs() -> dict[str, Subdir]:
    """Return every subdir armtorch knows, by conda's name, in the file's order."""
    rows: list[Any] = load_data("subdirs.yaml", list[Subdir])
    return {row.name: row for row in rows}
