"""Whether the wheels that a lock has could be split as the recipes say: by RECORD, without them.

The rules are carried out by the function that does it at build time, on the members that RECORD
lists; a member that a patch is for is read by range.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import IO, Any, cast

from benchmarks.past_index import PastIndex
from generator.inspecting.deriving import of_wheel
from generator.model import Cell, Wheel
from generator.project import Project
from generator.rendering import templates
from generator.rendering.unpacking import SCRIPTS
from generator.upstream import FactsCache
from generator.upstream.archive import parse_record
from generator.upstream.remote_bytes import TAIL, RangedFile


@cache
def _recipe_script() -> ModuleType:
    """Load build.py with the modules that lie beside it, which it imports by name."""
    with tempfile.TemporaryDirectory() as folder:
        for name in SCRIPTS:
            Path(folder, name).write_bytes(templates.read(name))
        sys.path.insert(0, folder)
        try:
            return importlib.import_module("build")
        finally:
            sys.path.remove(folder)


def refusals(project: Project, cell: Cell, wheels: set[str], index: PastIndex) -> Iterator[str]:
    """Yield why the build of a cell would refuse those of its wheels (by sha256)."""
    key = f"{cell.subdir}/{cell.accelerator}"
    for path in sorted((project.root / "recipes" / cell.line).glob("*/layout.json")):
        layout = json.loads(path.read_text(encoding="utf-8"))
        if key not in layout["cells"]:
            continue
        for wheel in _one_of_each(cell, wheels & layout["wheels"].keys()):
            rules = of_wheel(layout, "rules", wheel.sha256)
            yield from _refusal(project, layout["package"], rules, wheel, index)


def _one_of_each(cell: Cell, wheels: set[str]) -> list[Wheel]:
    """The wheels of one project differ by their Python only: one of them tells."""
    chosen = {w.project: w for w in reversed(cell.wheels) if w.sha256 in wheels}
    return list(chosen.values())


def _refusal(
    project: Project,
    layout_package: str,
    rules: list[dict[str, Any]],
    wheel: Wheel,
    index: PastIndex,
) -> Iterator[str]:
    script = _recipe_script()
    record = FactsCache(project.cache / "facts").records.get(wheel.sha256)
    if record is None:
        yield f"{wheel.filename}: its RECORD was not read"
        return
    members = dict.fromkeys(parse_record(record, wheel.filename))
    info = next(m.split("/")[0] for m in members if m.endswith(".dist-info/METADATA"))
    known = SimpleNamespace(members=members, name=wheel.filename, dist_info=info)
    try:
        # libtorch and pytorch-common are made of the same members by the same rules
        if layout_package in {wheel.project, "pytorch"}:
            script.sort_members(known, rules)
    except script.RefusedError as error:
        yield str(error).splitlines()[0]
        return
    for rule in rules:
        if "patch" not in rule or rule["do"] != "unpack":
            continue
        globs = [script.pattern(glob) for glob in rule["match"]]
        for member in (m for m in members if any(glob.fullmatch(m) for glob in globs)):
            text = _text(index, wheel, member)
            try:
                script.patch(
                    _written_nowhere(),
                    _of_text(wheel, member, text),
                    member,
                    "",
                    rule["patch"],
                )
            except script.RefusedError as error:
                yield str(error).splitlines()[0]


def _written_nowhere() -> SimpleNamespace:
    """A package as the recipe's functions see one; nothing that they write is kept."""
    ignore = lambda *_: None  # noqa: E731
    return SimpleNamespace(write=ignore, unpack=ignore, patched={}, unpatched={})


def _of_text(wheel: Wheel, member: str, text: str) -> SimpleNamespace:
    """A wheel as the recipe's functions see one, of which they read one member."""
    members = {member: zipfile.ZipInfo(member)}
    return SimpleNamespace(name=wheel.filename, members=members, text=lambda _: text)


def _text(index: PastIndex, wheel: Wheel, member: str) -> str:
    row = index.row(wheel.filename)
    assert row is not None
    size = row["size"]

    def read(first: int, last: int) -> bytes:
        return index.real.part(row, first, last - 1)

    tail = read(max(0, size - TAIL), size)
    with zipfile.ZipFile(cast("IO[bytes]", RangedFile(read, size, tail))) as archive:
        return archive.read(member).decode("utf-8")
