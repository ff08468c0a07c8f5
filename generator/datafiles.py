"""Reads armtorch's own data files and checks them before anyone uses a row.

Facts about platforms, names, SONAMEs, policies and pins live in ``generator/data/*.yaml``, never
in Python literals, so that a person can read and mend them without reading code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
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


#: what a channel may say otherwise: facts about what others do, and the machines of its CI. How
#: armtorch itself works, and what it refuses, is no matter of a channel's.
LOCAL: Final = (
    "action_pins.yaml",
    "imports.yaml",
    "jetson.yaml",
    "layout.yaml",
    "license_names.yaml",
    "licenses.yaml",
    "linkage_policy.yaml",
    "packages.yaml",
    "pairing.yaml",
    "pypi_names.yaml",
    "releases.yaml",
    "sharing_rules.yaml",
    "smithy.yaml",
    "sonames.yaml",
    "trio_policy.yaml",
    "warnings.yaml",
    "workflows.yaml",
)
#: keys that a row of a list is known by, and those that make it another row of that name
_NAMES: Final = ("id", "name", "part", "l4t")
_NARROWER: Final = ("subdirs", "versions")


@dataclass
class _Laid:
    """The folder of rows that is laid over armtorch's own, in this process."""

    folder: Path | None = None
    #: reads one of its files, which others may have written
    read: Callable[[Path], Any] | None = None


_LAID: Final = _Laid()


def take_rows(folder: Path | None, read: Callable[[Path], Any] | None) -> None:
    """Take rows from a folder before armtorch's own: see `generator.documents.lay_over`."""
    _LAID.folder, _LAID.read = folder, read


def laid_over() -> Path | None:
    """Return the folder of rows that is laid over armtorch's own."""
    return _LAID.folder


def local_files() -> tuple[Path, ...]:
    """Return the files that are laid over armtorch's own.

    Raises DataError: one is called as no data file that a channel may say otherwise.
    """
    if _LAID.folder is None:
        return ()
    found = tuple(sorted(path for path in _LAID.folder.glob("*.y*ml")))
    for path in found:
        if path.name not in LOCAL:
            near = get_close_matches(path.name, LOCAL, n=1)
            raise DataError(
                "no data file that a channel can lay its own rows over is called that",
                where=str(path),
                next_step=f"perhaps you meant {near[0]}" if near else f"take one of {LOCAL}",
            )
    return found


def load_data(name: str, kind: type[T]) -> T:
    """Read ``generator/data/<name>`` as ``kind``, with a channel's own rows laid over it.

    Raises DataError: the file is not YAML, or a row does not fit; the message names the row.
    """
    return _validated(merged_data(name), kind, DATA / name)


def merged_data(name: str) -> Any:
    """Return a data file as it is after the channel's own rows are laid over it, unchecked."""
    path = DATA / name
    raw = _read(path)
    for local in local_files():
        if local.name == name and _LAID.read is not None:
            raw = _over(raw, _LAID.read(local), local)
    return raw


def _read(path: Path) -> Any:
    try:
        # by the parser in C: they are armtorch's own, and a test reads them by both
        return YAML(typ="safe", pure=False).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, YAMLError) as error:
        raise DataError(str(error), where=str(path), next_step="reinstall armtorch") from error


def _validated(raw: Any, kind: type[T], path: Path) -> T:
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        local = [str(each) for each in local_files() if each.name == path.name]
        where = " over ".join([*local, str(path)])
        next_step = f"mend the row; the head of {path} says what its keys mean"
        raise DataError(describe(error), where=where, next_step=next_step) from error


def _over(below: Any, above: Any, where: Path) -> Any:
    """Lay rows over others: keys by key; in lists first, and instead of their namesakes."""
    if isinstance(below, dict) and isinstance(above, dict):
        both = {
            key: _over(below[key], value, where) for key, value in above.items() if key in below
        }
        return {**below, **above, **both}
    if isinstance(below, list) and isinstance(above, list):
        replaced = [key for row in above if (key := _known_by(row))]
        return [
            *above,
            *(row for row in below if _known_by(row) not in replaced and row not in above),
        ]
    if isinstance(below, dict | list):
        raise DataError(
            f"has {type(above).__name__} where armtorch's own has {type(below).__name__}",
            where=str(where),
            next_step=f"write it in the form of {DATA / where.name}",
        )
    return above


def _known_by(row: Any) -> tuple[str, ...] | None:
    if not isinstance(row, dict) or not any(name in row for name in _NAMES):
        return None
    return tuple(repr(row.get(key)) for key in (*_NAMES, *_NARROWER))


def describe(error: ValidationError) -> str:
    """Put pydantic's findings into one line each: where in the file, and what is wrong."""
    return "; ".join(
        f"{place_of(found['loc'])}: {found['msg']}" for found in error.errors(include_url=False)
    )


def place_of(location: Iterable[object]) -> str:
    """Return the keys down to a value, without pydantic's names for the forms it may have."""
    parts = [str(part) for part in location if "[" not in str(part) or part == "[key]"]
    return ".".join(parts) or "the file"


@cache
def subdirs() -> dict[str, Subdir]:
    """Return every subdir armtorch knows, by conda's name, in the file's order."""
    rows: list[Any] = load_data("subdirs.yaml", list[Subdir])
    return {row.name: row for row in rows}
