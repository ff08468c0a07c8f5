"""The rows of armtorch's data files, and the files without one of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from generator.datafiles import DATA
from tests.other_data import Where


@dataclass(frozen=True)
class Row:
    """One row of a data file."""

    file: str
    where: Where
    #: what stands there
    content: Any

    @property
    def name(self) -> str:
        """``sonames.yaml libraries.3 libgomp.so.1``."""
        said = self.content if isinstance(self.content, dict) else {}
        own = next((str(said[k]) for k in ("name", "project", "part", "finding") if k in said), "")
        return f"{self.file} {'.'.join(map(str, self.where))} {own}".rstrip()

    def without(self, name: str, content: Any) -> Any:
        """Return a file's content without this row, if it is the row's file."""
        if name != self.file:
            return content
        changed = copy.deepcopy(content)
        parent = changed
        for key in self.where[:-1]:
            parent = parent[key]
        del parent[self.where[-1]]
        return changed

    def concerns(self, subdir: str) -> bool:
        """Whether the row may be about a subdir: rows that name some are about no other."""
        said = self.content if isinstance(self.content, dict) else {}
        os = said.get("os") or [subdir.partition("-")[0]]
        return subdir in (said.get("subdirs") or [subdir]) and subdir.partition("-")[0] in os


@cache
def classified() -> Mapping[str, Mapping[str, Any]]:
    """Read data_rows.yaml."""
    path = Path(__file__).with_name("data_rows.yaml")
    found: Mapping[str, Mapping[str, Any]] = YAML(typ="safe").load(path.read_text("utf-8"))
    return found


def rows() -> tuple[Row, ...]:
    """Return every row of knowledge."""
    return tuple(
        Row(file, (*where, key), each)
        for file, said in classified()["knowledge"].items()
        for place in said["rows"]
        for where, node in _at(content_of(file), place.split(".") if place else [])
        for key, each in _items(node)
    )


def content_of(file: str) -> Any:
    """Read a data file as it is."""
    return YAML(typ="safe").load((DATA / file).read_text(encoding="utf-8"))


def _at(node: Any, path: Sequence[str], where: Where = ()) -> Iterator[tuple[Where, Any]]:
    if not path:
        yield where, node
        return
    for key, each in _items(node):
        if path[0] in {"*", str(key)}:
            yield from _at(each, path[1:], (*where, key))


def _items(node: Any) -> list[tuple[str | int, Any]]:
    if isinstance(node, dict):
        return list(node.items())
    return list(enumerate(node)) if isinstance(node, list) else []


def spread(found: Sequence[Row], number: int) -> list[Row]:
    """Choose so many of the rows, evenly; all of them where there are not more."""
    if number >= len(found):
        return list(found)
    return [found[index * len(found) // number] for index in range(number)]
