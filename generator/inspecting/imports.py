"""What a wheel's Python code imports whenever it is imported, and nobody says it needs (D21)."""

from __future__ import annotations

import ast
import operator
import re
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.parser import BytesParser
from functools import cache
from typing import Annotated, Any, Final, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from pydantic import Field

from generator.datafiles import load_data
from generator.documents import open_zip
from generator.errors import MalformedError
from generator.inspecting.mapping import WheelFile
from generator.model import PythonBuild
from generator.model.closed import Closed
from generator.model.names import PackageText
from generator.naming.projects import name_map

_FILE: Final = "imports.yaml"
_Module = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
_Minor = Annotated[str, Field(pattern=r"^3\.\d+$")]
#: what is caught where a module may be missing
_CAUGHT: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_COMPARED: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.GtE: operator.ge,
}


@dataclass(frozen=True, kw_only=True)
class ImportRows(Closed):
    """data/imports.yaml, which explains the words."""

    format: Literal[1]
    projects: dict[_Module, PackageText]
    came: dict[_Minor, tuple[_Module, ...]]
    gone: dict[_Minor, tuple[_Module, ...]]
    left_out: dict[PackageText, dict[_Module, str]]

    def is_standard(self, module: str, python: PythonBuild) -> bool:
        """Whether a Python has a module of its own."""
        for rows, there in ((self.came, True), (self.gone, False)):
            for text, names in rows.items():
                if module in names:
                    return (python.minor >= int(text[2:])) is there
        return module in sys.stdlib_module_names


@cache
def import_rows() -> ImportRows:
    """Read data/imports.yaml; DataError where a row does not fit."""
    return load_data(_FILE, ImportRows)


def imported(source: str, python: PythonBuild) -> Iterator[str]:
    """Yield what is imported whenever a module is; raises SyntaxError where it is no Python.

    What stands in a function, under a condition other than Python's version or where an ImportError
    is caught is not among it.
    """
    yield from _of(ast.parse(source).body, (python.major, python.minor))


def _of(body: list[ast.stmt], python: tuple[int, int]) -> Iterator[str]:
    for node in body:
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.If(
                test=ast.Compare(
                    left=ast.Attribute(value=ast.Name(id="sys"), attr="version_info"),
                    ops=[op],
                    comparators=[
                        ast.Tuple(elts=[ast.Constant(value=3), ast.Constant(value=minor)])
                    ],
                )
            ) if type(op) in _COMPARED:
                holds = _COMPARED[type(op)](python, (3, minor))
                yield from _of(node.body if holds else node.orelse, python)
            case ast.Try():
                tried = [] if any(map(_catches, node.handlers)) else node.body
                yield from _of([*tried, *node.orelse, *node.finalbody], python)
            case ast.ClassDef() | ast.With():
                yield from _of(node.body, python)


def _catches(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(
        each is None or (isinstance(each, ast.Name) and each.id in _CAUGHT) for each in caught
    )


def unsaid(source: WheelFile) -> dict[str, tuple[str, ...]]:
    """Return what a wheel imports beside METADATA, its rows and Python itself, and where.

    Raises MalformedError: METADATA's requirements are none. IntegrityError: the archive is damaged.
    """
    project, python = source.path.name.partition("-")[0], _python(source.path.name)
    rows, found = import_rows(), dict[str, list[str]]()
    with source.path.open("rb") as file, open_zip(file, source.path.name) as archive:
        members = [name for name in archive.namelist() if name.endswith(".py")]
        said = {canonicalize_name(project), "torch", *_required(archive, source.path.name)}
        for member in members:
            try:
                modules = {*imported(archive.read(member).decode(), python)}
            except (SyntaxError, ValueError):
                continue  # a template, or for another Python: nobody imports it
            for module in modules:
                found.setdefault(module, []).append(member)
    unstated = name_map().row(project).unstated
    holding = [each for each in unstated if each.holds(source.version, python, "")]
    said |= {canonicalize_name(each.spec.split(" ")[0]) for each in holding}
    own = {name.split("/")[0].removesuffix(".py") for name in members} | {"__main__"}
    out = rows.left_out.get(canonicalize_name(project), {})
    tops: dict[str, set[str]] = {}
    for module, by in found.items():
        parts = module.split(".")
        names = [".".join(parts[: end + 1]) for end in range(len(parts))]
        needs = {canonicalize_name(rows.projects.get(name, parts[0])) for name in names}
        known = parts[0] in own or rows.is_standard(parts[0], python)
        if not (known or needs & said or out.keys() & names):
            tops.setdefault(parts[0], set()).update(by)
    return {top: tuple(sorted(tops[top])) for top in sorted(tops)}


def _python(wheel: str) -> PythonBuild:
    """Return the oldest Python that a wheel is for, of those that are looked at."""
    tags = parse_wheel_filename(wheel)[3]
    minors = {int(tag.interpreter[3:]) for tag in tags if re.fullmatch(r"cp3\d+", tag.interpreter)}
    return PythonBuild(major=3, minor=min(minors, default=min(name_map().python_minors)))


def _required(archive: zipfile.ZipFile, where: str) -> Iterator[str]:
    """Yield the projects that METADATA asks for, extras left out."""
    for member in archive.namelist():
        if member.count("/") == 1 and member.endswith(".dist-info/METADATA"):
            texts = BytesParser().parsebytes(archive.read(member)).get_all("Requires-Dist", [])
            try:
                asked = [Requirement(text) for text in texts]
            except InvalidRequirement as error:
                raise MalformedError(str(error), where=f"{where}, METADATA") from error
            yield from (
                canonicalize_name(each.name) for each in asked if "extra" not in str(each.marker)
            )
