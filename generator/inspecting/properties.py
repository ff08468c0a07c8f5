"""What a binary or text file says about itself, whatever the loader finds for it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from generator.inspecting.binary import Binary, Load
from generator.inspecting.findings import Finding, linkage_policy
from generator.inspecting.rules import Rule
from generator.naming import DELOCATED, Library, SonameTable, is_tools_work, without_hash


def judge_properties(files: Mapping[str, Binary | None], table: SonameTable) -> Iterator[Finding]:
    """Judge each binary of a package by itself, and their names against each other."""
    for path, binary in sorted(files.items()):
        if binary is None:
            continue
        yield from _copies(path, binary, table)
        if binary.text_relocations:
            what = "DT_TEXTREL is set"
            yield Finding(rule=Rule.TEXT_RELOCATIONS, file=path, what=what)
        if binary.executable_stack:
            what = "it asks for an executable stack"
            yield Finding(rule=Rule.EXECUTABLE_STACK, file=path, what=what)
        if binary.name is not None and is_absolute(binary.name, table):
            what = f"its name is {binary.name}"
            yield Finding(rule=Rule.ABSOLUTE_NAME, file=path, what=what)
    yield from _nameless(files)
    for name, paths in sorted(library_names(files, table).items()):
        if len(paths) > 1:
            what = f"{', '.join(paths)} are all {name}"
            yield Finding(rule=Rule.NAME_TWICE, file=paths[0], name=name, what=what)


def library_names(
    files: Mapping[str, Binary | None], table: SonameTable
) -> dict[str, tuple[str, ...]]:
    """Return the paths of the files that carry each library name, as the loader compares it.

    Windows goes by the file name; programs have no name that anyone could ask for.
    """
    found: dict[str, tuple[str, ...]] = {}
    for path, binary in sorted(files.items()):
        if binary is None or binary.executable:
            continue
        name = table.fold(posixpath.basename(path)) if binary.format == "pe" else binary.name
        if name is not None:
            found[name] = (*found.get(name, ()), path)
    return found


def _nameless(files: Mapping[str, Binary | None]) -> Iterator[Finding]:
    """Name ELF and Mach-O libraries that are asked for by a file name they do not carry."""
    asked = {
        posixpath.basename(load.name)
        for binary in files.values()
        if binary is not None
        for load in binary.needs
    }
    for path, binary in sorted(files.items()):
        name = posixpath.basename(path)
        if binary is not None and binary.format != "pe" and binary.name is None and name in asked:
            what = f"others need {name}, and it does not say that it is that"
            yield Finding(rule=Rule.NAMELESS, file=path, name=name, what=what)


def _copies(path: str, binary: Binary, table: SonameTable) -> Iterator[Finding]:
    row = copy_of(path, binary, table)
    if row is None:
        if not binary.executable and is_tools_work(path) and not _is_known(path, binary, table):
            name = without_hash(binary.name or path)
            what = f"no row of sonames.yaml knows {name}, so the copy stays"
            yield Finding(rule=Rule.UNKNOWN, file=path, name=name, what=what)
    elif row.action == "unvendor":
        what = f"a copy of {row.name}, which {row.package} provides"
        yield Finding(rule=Rule.BUNDLED, file=path, name=row.name, what=what)
    else:
        what = f"upstream's own {row.name}: {row.note}"
        yield Finding(rule=Rule.KEPT, file=path, name=row.name, what=what)


def copy_of(path: str, binary: Binary, table: SonameTable) -> Library | None:
    """Return the row of the third-party library that an installed file is a copy of.

    By the library's own name; by the file's where it has none or one that no row knows.
    """
    for name in (binary.name, path):
        row = table.identify(name) if name else None
        if row is not None and row.action in {"unvendor", "keep"}:
            return row
    return None


def _is_known(path: str, binary: Binary, table: SonameTable) -> bool:
    return any(name and table.identify(name) for name in (binary.name, path))


def is_absolute(name: str, table: SonameTable) -> bool:
    """Whether a needed name or a library's own is a path outside environment and system."""
    if not name.startswith("/") or name.startswith(DELOCATED):
        return False
    known = table.find(name)
    return known is None or known.action != "system"


def absolute_need(path: str, load: Load) -> Finding:
    """Name a library that is asked for by an absolute path."""
    what = f"it needs {load.name}"
    return Finding(rule=Rule.ABSOLUTE_NEED, file=path, name=load.name, what=what)


def judge_text(path: str, content: bytes) -> Finding | None:
    """Look for a build machine's folders in a text file that other programs read."""
    found = sorted({match.decode("utf-8", "replace") for match in _build_folders(content)})
    if not found:
        return None
    shown = ", ".join(found[:3])
    return Finding(rule=Rule.BUILD_FOLDER, file=path, what=f"it names {shown}")


def _build_folders(content: bytes) -> Iterator[bytes]:
    for pattern in linkage_policy().build_folder_patterns:
        for match in pattern.finditer(content):
            yield match[0]
