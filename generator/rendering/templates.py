"""The templates folder and the jinja2 environments over it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from generator.errors import DataError
from generator.packages import known_as

_PACKAGE: Final = Path(__file__).parents[1]
#: modules of armtorch that build.py imports, too: they lie beside it in recipes/_unpack. (A link in
#: the templates folder would be a text file in a checkout on Windows.)
SHARED: Final = {
    "read_wheel.py": _PACKAGE / "inspecting/read_wheel.py",
    "equivalence.py": _PACKAGE / "upstream/equivalence.py",
}


def folder() -> Path:
    """Return the templates folder: beside the package in a checkout, inside it when installed."""
    inside = _PACKAGE / "templates"
    return inside if inside.is_dir() else _PACKAGE.parent / "templates"


def read(name: str) -> bytes:
    """Return a file of the templates folder, or a shared module, as it is.

    Raises DataError: there is none of that name.
    """
    path = SHARED.get(name) or folder() / name
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            "there is no such template",
            where=str(path),
            next_step="restore it from the repository",
        ) from error


def smoke_program(package: str) -> str:
    """Return the program that tests an installed package; "" for packages without one."""
    name = f"tests/{known_as(package)}.py"
    return name if (folder() / name).is_file() else ""


@cache
def environment(kind: str = "recipes") -> Environment:
    """Return the environment over one folder of templates.

    Its delimiters leave rattler-build's ``${{ }}`` alone.
    """
    # recipes are YAML, not HTML: escaping would break them
    found = Environment(  # noqa: S701
        loader=FileSystemLoader(folder() / kind),
        undefined=StrictUndefined,
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters["lines"] = indented
    return found


def indented(found: Sequence[str], depth: int) -> str:
    """Write lines below each other, ``depth`` blanks in, without a line end after the last."""
    return "\n".join(" " * depth + line for line in found)
