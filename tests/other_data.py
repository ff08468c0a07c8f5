"""Runs armtorch with other data files than its own, for tests of what it does without a row."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from generator import datafiles

#: where a row stands in a file: keys of mappings and places in lists
Where = tuple[str | int, ...]


@contextmanager
def other_data(folder: Path) -> Iterator[None]:
    """Let everything read its data from ``folder``; what was read before is forgotten."""
    own = datafiles.DATA
    datafiles.DATA = folder  # type: ignore[misc]
    forget_data()
    try:
        yield
    finally:
        datafiles.DATA = own  # type: ignore[misc]
        forget_data()


def forget_data() -> None:
    """Empty every cache of a function of ``generator``: most hold what a data file said."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "generator":
            for value in list(vars(module).values()):
                if callable(forget := getattr(value, "cache_clear", None)):
                    forget()


def copy_data(folder: Path, change: Callable[[str, Any], Any]) -> Path:
    """Copy the data files to ``folder``, each as ``change(name, content)`` returns it."""
    shutil.copytree(datafiles.DATA, folder)
    yaml = YAML(typ="safe")
    for path in sorted(folder.glob("*.yaml")):
        before = yaml.load(path.read_text(encoding="utf-8"))
        after = change(path.name, before)
        if after is not before:
            with path.open("w", encoding="utf-8") as file:
                yaml.dump(after, file)
    return folder
