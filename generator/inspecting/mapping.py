"""``map check``: what wheels need and bundle that data/sonames.yaml says nothing of."""

from __future__ import annotations

import fnmatch
import io
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from ruamel.yaml import YAML

from generator.building import place_of
from generator.console import Narrator
from generator.datafiles import subdirs
from generator.errors import SelectionError
from generator.inspecting.binary import Binary
from generator.inspecting.findings import linkage_policy
from generator.inspecting.members import binary_members
from generator.inspecting.read_wheel import pattern
from generator.inspecting.rules import Rule
from generator.model import Accelerator, Cell, Lock
from generator.naming import Library, SonameTable, is_bundled_place, sonames, without_hash
from generator.rendering.layout import layouts


@dataclass(frozen=True, kw_only=True)
class WheelFile:
    """A wheel to look into."""

    path: Path
    #: ``torch 2.10.0``
    release: str
    version: str
    subdir: str


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """A library that the map lacks."""

    kind: Literal["needed", "bundled"]
    name: str
    subdir: str
    #: releases it was seen in
    releases: tuple[str, ...]
    #: who needs it, or where it lies in the wheel
    files: tuple[str, ...]
    #: a row to paste into sonames.yaml; ``spec`` is left for a person to fill
    row: str


@dataclass(frozen=True, kw_only=True)
class MapRow:
    """A row of sonames.yaml that wants a look."""

    name: str
    subdir: str
    note: str


@dataclass(frozen=True, kw_only=True)
class MapCheck:
    """What the map lacks for some wheels, and rows of it that nothing needs or nobody checked."""

    looked_at: tuple[str, ...]
    #: releases of the lock without a wheel in the wheelhouse; only the lock's names were checked
    not_looked_at: tuple[str, ...]
    unknown: tuple[Unknown, ...]
    #: rows that nothing matches, of subdirs whose every release was looked at
    unused: tuple[MapRow, ...]
    #: rows of confidence ``inferred`` that something matches
    inferred: tuple[MapRow, ...]


@dataclass(frozen=True)
class Lacking:
    """A release of a cell of which no wheel is there."""

    release: str
    cell: str

    def __str__(self) -> str:
        return f"{self.release} ({self.cell})"


def locked_sources(
    lock: Lock, wheelhouse: Path
) -> tuple[tuple[WheelFile, ...], tuple[Lacking, ...]]:
    """Pick one wheel in the wheelhouse per release, subdir and accelerator of the lock.

    One Python's wheel of a release is enough: the others have the same libraries, or ``update`` had
    refused to share them.
    """
    found: dict[str, WheelFile] = {}
    absent: list[Lacking] = []
    for cell in lock.cells:
        for project, version in cell.versions.items():
            release = f"{project} {version}"
            there = (
                place_of(wheel, wheelhouse)
                for wheel in cell.wheels_of(project)
                if place_of(wheel, wheelhouse).is_file()
            )
            path = next(there, None)
            if path is None:
                absent.append(Lacking(release, cell.name))
                continue
            found[path.name] = WheelFile(
                path=path, release=release, version=version, subdir=cell.subdir
            )
    return tuple(found.values()), tuple(absent)


def named_source(path: Path) -> WheelFile:
    """Read from a wheel's file name what it is.

    Raises SelectionError: it is no wheel's name, or for no subdir that armtorch serves.
    """
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise SelectionError(
            str(error), where=str(path), next_step="name a .whl file as upstream does"
        ) from error
    for subdir in subdirs().values():
        for tag in tags:
            if any(re.fullmatch(glob, tag.platform) for glob in subdir.wheel_platforms):
                return WheelFile(
                    path=path,
                    release=f"{name} {version}",
                    version=str(version),
                    subdir=subdir.name,
                )
    raise SelectionError(
        "it is for no subdir that armtorch serves",
        where=path.name,
        next_step=f"name a wheel for {', '.join(subdirs())}",
    )


def check_map(
    sources: Iterable[WheelFile],
    *,
    lock: Lock,
    not_looked_at: tuple[Lacking, ...],
    whole: bool,
    narrator: Narrator,
) -> MapCheck:
    """Look into wheels for what the map lacks.

    Of releases without a wheel, ``not_looked_at``, the lock's lists of library names are checked.
    ``whole``: the wheels are all that the lock has, so that rows may be said to match nothing.
    Raises AbsentError: a wheel is not there. IntegrityError, LinkageError: a wheel is damaged, or a
    binary in it is.
    """
    gathered = _Gathered()
    names = []
    for source in sources:
        with narrator.task(f"reading {source.path.name}"):
            gathered.take(source)
        names.append(source.path.name)
    missing = {each.cell for each in not_looked_at}
    for cell in lock.cells:
        if cell.name in missing:
            gathered.take_names(cell)
    partly = {cell.subdir for cell in lock.cells if cell.name in missing}
    complete = gathered.subdirs - partly if whole else set()
    return MapCheck(
        looked_at=tuple(names),
        not_looked_at=tuple(map(str, not_looked_at)),
        unknown=tuple(gathered.unknown()),
        unused=tuple(gathered.unused(complete)),
        inferred=tuple(gathered.inferred()),
    )


class _Gathered:
    """Names by subdir, collected from wheel after wheel."""

    def __init__(self) -> None:
        self.subdirs: set[str] = set()
        self._used: set[tuple[str, str]] = set()
        self._needed: dict[tuple[str, str], _Seen] = {}
        self._bundled: dict[tuple[str, str], _Seen] = {}

    def take(self, source: WheelFile) -> None:
        """Take everything that a wheel's binaries say."""
        self.subdirs.add(source.subdir)
        table = sonames(source.subdir)
        binaries = {m.path: m.binary for m in binary_members(source.path)}
        own = {table.fold(posixpath.basename(path)) for path in binaries}
        for path, binary in binaries.items():
            self._take_member(source, path, binary, table)
            for load in binary.needs:
                row = table.find(load.name)
                if row is not None:
                    self._used.add((source.subdir, row.name))
                elif (
                    table.fold(posixpath.basename(load.name)) not in own
                    and not _accepted(load.name, source.subdir)
                    and not _left_out(source, path)
                ):
                    seen = self._needed.setdefault((source.subdir, load.name), _Seen())
                    seen.add(source.release, path, binary)

    def take_names(self, cell: Cell) -> None:
        """Take the file names of torch's libraries in a cell whose wheels are not there."""
        self.subdirs.add(cell.subdir)
        table = sonames(cell.subdir)
        for project, members in cell.bundled.items():
            for member in members:
                name = without_hash(member)
                if table.identify(member) is None and name.startswith("lib"):
                    seen = self._bundled.setdefault((cell.subdir, name), _Seen())
                    seen.add(f"{project} {cell.versions[project]}", member, None)

    def _take_member(
        self, source: WheelFile, path: str, binary: Binary, table: SonameTable
    ) -> None:
        file = posixpath.basename(path)
        row = (table.identify(binary.name) if binary.name else None) or table.identify(file)
        if row is not None:
            self._used.add((source.subdir, row.name))
        elif not binary.executable and _is_library(path, binary):
            name = without_hash(binary.name if binary.format == "elf" and binary.name else file)
            seen = self._bundled.setdefault((source.subdir, name), _Seen())
            seen.add(source.release, path, binary)

    def unknown(self) -> Iterator[Unknown]:
        """Yield what the map lacks, sorted."""
        kinds: tuple[tuple[Literal["bundled", "needed"], Mapping[tuple[str, str], _Seen]], ...]
        kinds = (("bundled", self._bundled), ("needed", self._needed))
        for kind, found in kinds:
            for (subdir, name), seen in sorted(found.items()):
                yield Unknown(
                    kind=kind,
                    name=name,
                    subdir=subdir,
                    releases=tuple(sorted(seen.releases)),
                    files=tuple(sorted(seen.files)),
                    row=_row(kind, name, subdir, seen),
                )

    def unused(self, complete: Iterable[str]) -> Iterator[MapRow]:
        """Yield rows of these subdirs that nothing in their wheels matches."""
        for subdir in sorted(complete):
            for row in _rows(subdir):
                by_name = not row.dlopened and row.action not in {"unneeded", "system"}
                if by_name and (subdir, row.name) not in self._used:
                    yield MapRow(name=row.name, subdir=subdir, note=row.note)

    def inferred(self) -> Iterator[MapRow]:
        """Yield rows that something matches and nobody has checked."""
        for subdir in sorted(self.subdirs):
            for row in _rows(subdir):
                if row.confidence == "inferred" and (subdir, row.name) in self._used:
                    yield MapRow(name=row.name, subdir=subdir, note=row.note)


class _Seen:
    """Where a name was seen."""

    def __init__(self) -> None:
        self.releases: set[str] = set()
        self.files: set[str] = set()
        self.needs: set[str] = set()

    def add(self, release: str, path: str, binary: Binary | None) -> None:
        """Note one place."""
        self.releases.add(release)
        self.files.add(path)
        self.needs |= {load.name for load in binary.needs} if binary is not None else set()


def _accepted(name: str, subdir: str) -> bool:
    """Whether linkage_policy.yaml says why it does no harm that nobody provides a library."""
    return any(
        row.finding == Rule.NOBODY.id
        and subdir in row.subdirs
        and any(fnmatch.fnmatchcase(name, glob) for glob in row.names)
        for row in linkage_policy().accepted
    )


def _left_out(source: WheelFile, path: str) -> bool:
    """Whether no package has a member: layout.yaml drops it, whatever CUDA the cell has."""
    layout = layouts().projects.get(source.release.partition(" ")[0])
    for rule in layout.rules if layout is not None else ():
        fits = replace(rule, cuda=None).fits(source.version, source.subdir, Accelerator())
        if fits and any(pattern(glob).fullmatch(path) for glob in rule.match):
            return rule.drop is not None
    return False


def _is_library(path: str, binary: Binary) -> bool:
    """Whether others may load a file by its name: no extension module of Python."""
    return is_bundled_place(path) and (
        binary.format == "pe" or posixpath.basename(path).startswith("lib")
    )


def _rows(subdir: str) -> list[Library]:
    table = sonames(subdir)
    return list({row.name: row for row in (*table.libraries.values(), *table.prefixes)}.values())


def _row(kind: str, name: str, subdir: str, seen: _Seen) -> str:
    """Write a row for sonames.yaml; a library that is not bundled lacks the package it is in."""
    releases, files = ", ".join(sorted(seen.releases)), sorted(seen.files)
    row: dict[str, Any] = {"name": sonames(subdir).fold(name), "subdirs": [subdir]}
    if kind == "needed":
        row |= {"action": "unvendor", "spec": None}
        note = f"Needed by {files[0]} of {releases}."
    elif any(_own(need, subdir) for need in seen.needs):
        row["action"] = "in-package"
        note = f"{files[0]} of {releases}: needs torch's own libraries, so it is upstream's."
    else:
        row["action"] = "keep"
        note = f"Bundled in {releases}."
    text = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.dump([{**row, "confidence": "inferred", "note": note}], text)
    return text.getvalue()


def _own(name: str, subdir: str) -> bool:
    row = sonames(subdir).find(name)
    return row is not None and row.action == "in-package"
