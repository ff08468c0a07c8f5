"""Shared libraries in conda's terms: the rows of data/sonames.yaml.

glibc finds a library by its SONAME, dyld by the file name at the end of its install name, Windows
by its file name in any case; all are called its name here. Rows for Windows are in lower case.
"""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

from packaging.specifiers import SpecifierSet

from generator.datafiles import DATA, load_data, subdirs
from generator.errors import DataError
from generator.model.accelerator import Accelerator
from generator.model.closed import Closed
from generator.model.names import SpecifierText
from generator.naming.mangling import is_bundled_place, is_tools_work, plain_names
from generator.naming.projects import Spec
from generator.naming.requirements import RunDependency, unique
from generator.packages import known_as

#: what is done about a library; sonames.yaml explains the words
Action = Literal["unvendor", "keep", "drop", "in-package", "system", "unneeded"]
_FILE: Final = "sonames.yaml"
_SUBDIRS: Final = "subdirs.yaml"


@dataclass(frozen=True, kw_only=True)
class Copies(Closed):
    """What is done about the copies in some releases, where it is not what the row says."""

    #: of the wheel
    versions: SpecifierText
    #: of the cell, where those of the others are treated as all are
    accelerator: Literal["cpu", "cuda"] | None = None
    action: Action


@dataclass(frozen=True, kw_only=True)
class Compatibility(Closed):
    """Which package version has a Mach-O compatibility version first."""

    version: str
    package: str


@dataclass(frozen=True, kw_only=True)
class Library(Closed):
    """One shared library."""

    name: str
    subdirs: tuple[str, ...]
    action: Action
    confidence: Literal["verified", "inferred"]
    note: str
    spec: Spec | None = None
    file: str = ""
    #: globs over file names that have neither this name nor one that begins with it
    real_names: tuple[str, ...] = ()
    copies: tuple[Copies, ...] = ()
    needed_as: tuple[str, ...] = ()
    compatibility: tuple[Compatibility, ...] = ()
    prefix: bool = False
    per_python: bool = False
    #: opened by name at run time, so that no binary says that it needs it
    dlopened: bool = False

    @property
    def package(self) -> str | None:
        """The conda package that provides it."""
        return self.spec.split(" ", 1)[0] if self.spec else None

    @property
    def target(self) -> str:
        """Its file under $PREFIX in that package, with forward slashes."""
        return self.file or f"lib/{self.name}"

    @property
    def dependency(self) -> RunDependency | None:
        """The run dependency that provides it."""
        return RunDependency(spec=self.spec, why=f"needs {self.name}") if self.spec else None

    def action_in(self, version: str, accelerator: Accelerator) -> Action:
        """Return what is done about a copy in a wheel of this version."""
        found = (
            copies.action
            for copies in self.copies
            if copies.accelerator in {None, _kind(accelerator)}
            and version in _specifier(copies.versions)
        )
        return next(found, self.action)


@dataclass(frozen=True, kw_only=True)
class Need(Closed):
    """What the binaries of one package need from other packages."""

    package: str
    versions: SpecifierText
    subdir: str
    accelerator: Literal["cpu", "cuda"]
    #: of the CUDA line
    cuda: SpecifierText = ""
    #: whether Jetson's own builds are not meant
    sbsa: bool = False
    libraries: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Bundled:
    """What becomes of a wheel's copy of one library."""

    library: Library
    #: ``unvendor``, ``keep`` or ``drop``
    action: Action
    #: where the wheel has it
    member: str

    @property
    def dependency(self) -> RunDependency | None:
        """The package whose library stands in its place."""
        return self.library.dependency if self.action == "unvendor" else None


@dataclass(frozen=True, kw_only=True)
class SonameTable:
    """The libraries of one subdir."""

    subdir: str
    libraries: Mapping[str, Library]
    prefixes: tuple[Library, ...]
    needs: tuple[Need, ...] = field(repr=False)

    def find(self, name: str) -> Library | None:
        """Return the row for a SONAME or install name; None where nothing is known of it.

        An install name is looked up whole first, then by its last part, so that
        ``@rpath/libomp.dylib`` is ``libomp.dylib`` but ``/usr/lib/libc++.1.dylib`` is macOS's own.
        """
        name = self.fold(name)
        if (row := self.libraries.get(name)) is not None:
            return row
        if system := next((p for p in self.prefixes if name.startswith(p.name)), None):
            return system
        return self.libraries.get(name.rsplit("/", 1)[-1])

    def identify(self, name: str) -> Library | None:
        """Return the row for a file's name or a library's own, whatever a wheel tool made of it.

        Not for names that a binary asks for: those the loader takes as they are (`find`).
        """
        plain = [self.fold(each) for each in plain_names(name)]
        for each in plain:
            if (row := self.libraries.get(each)) is not None:
                return row
        for row in self.libraries.values():
            if any(fnmatch.fnmatchcase(plain[0], glob) for glob in row.real_names):
                return row
        return next((row for row in self.prefixes if plain[0].startswith(row.name)), None)

    def fold(self, name: str) -> str:
        """Return a file name as this platform compares it: Windows ignores case."""
        return name.lower() if self.subdir.startswith("win-") else name

    def provided_by(self, target: str) -> Library | None:
        """Return the library that a package provides at ``target``, a path under $PREFIX."""
        for row in self.libraries.values():
            if row.spec is not None and row.target == target:
                return row
        return None


def sonames(subdir: str) -> SonameTable:
    """Return what is known of the libraries of a subdir, by conda's name of it.

    Raises DataError: data/sonames.yaml is inconsistent; the message names the row.
    """
    return _tables()[subdir]


def bundled(
    members: Iterable[str], subdir: str, version: str, accelerator: Accelerator
) -> tuple[Bundled, ...]:
    """Say what becomes of a wheel's copies of libraries that sonames.yaml knows.

    A copy of the system's (glibc's loader) goes with those it was bundled for, and stays when one
    of them stays: that one asks for it by its mangled name.
    ``members`` are the wheel's paths where libraries for others lie.
    """
    table = sonames(subdir)
    there = sorted(member for member in members if is_bundled_place(member))
    known = {member: table.identify(member) for member in there}
    actions = {
        member: row.action_in(version, accelerator) if row is not None else "keep"
        for member, row in known.items()
        if row is not None or is_tools_work(member)
    }
    stays = {posixpath.dirname(member) for member, action in actions.items() if action == "keep"}
    found = []
    for member, row in known.items():
        if row is None or (action := actions[member]) in {"in-package", "unneeded"}:
            continue
        if action == "system":
            action = "keep" if posixpath.dirname(member) in stays else "drop"
        found.append(Bundled(library=row, action=action, member=member))
    return tuple(found)


def needed_libraries(
    package: str, *, version: str, subdir: str, accelerator: Accelerator
) -> tuple[Library, ...]:
    """List the libraries of other packages that a package's binaries need, by its name and version.

    They want a dependency, and on Linux a link under their name beside the binaries that ask for
    them (torch/lib), since upstream's search paths end at ``$ORIGIN``: glibc would take the
    machine's own libstdc++ otherwise, and torch_shm_manager would not start.
    """
    kind = _kind(accelerator)
    table = sonames(subdir)
    return tuple(
        table.libraries[name]
        for need in table.needs
        if (need.package, need.accelerator) == (known_as(package), kind)
        and _specifier(need.versions).contains(version, prereleases=True)
        and (kind == "cpu" or accelerator.cuda_compiler_version in _specifier(need.cuda))
        and not (need.sbsa and accelerator.tegra)
        for name in need.libraries
    )


def library_depends(
    package: str,
    *,
    version: str,
    subdir: str,
    accelerator: Accelerator,
    copies: Iterable[Bundled] = (),
) -> tuple[RunDependency, ...]:
    """Return the run dependencies that provide a package's libraries.

    Those that stand in for the wheel's ``copies``, and its `needed_libraries`.
    """
    needed = needed_libraries(package, version=version, subdir=subdir, accelerator=accelerator)
    found = (*(copy.dependency for copy in copies), *(library.dependency for library in needed))
    return unique(each for each in found if each is not None)


@dataclass(frozen=True, kw_only=True)
class _File(Closed):
    format: Literal[1]
    libraries: tuple[Library, ...]
    needs: tuple[Need, ...]


def _kind(accelerator: Accelerator) -> Literal["cpu", "cuda"]:
    return "cpu" if accelerator.cuda is None else "cuda"


@cache
def _specifier(text: str) -> SpecifierSet:
    return SpecifierSet(text, prereleases=True)


@cache
def _tables() -> Mapping[str, SonameTable]:
    content: _File = load_data(_FILE, _File)
    _check_libraries(content.libraries)
    tables = {}
    for subdir in subdirs():
        rows = [row for row in content.libraries if subdir in row.subdirs]
        named: dict[str, Library] = {}
        for row in rows:
            for name in (row.name, *row.needed_as):
                if subdir.startswith("win-") and name != name.lower():
                    raise _bad(f"{name}: rows for Windows are in lower case")
                if name in named:
                    raise _bad(f"{name} has two rows for {subdir}")
                named[name] = row
        tables[subdir] = SonameTable(
            subdir=subdir,
            libraries=MappingProxyType({n: row for n, row in named.items() if not row.prefix}),
            prefixes=tuple(row for row in rows if row.prefix),
            # a library that no row knows costs the cells whose binaries ask for it: the audit sees
            needs=tuple(
                replace(need, libraries=tuple(name for name in need.libraries if name in named))
                for need in content.needs
                if need.subdir == subdir
            ),
        )
    _check_needs(content.needs, tables)
    return MappingProxyType(tables)


def _check_libraries(rows: tuple[Library, ...]) -> None:
    for row in rows:
        if unknown := set(row.subdirs) - set(subdirs()):
            raise _bad(f"{row.name}: unknown subdir {', '.join(sorted(unknown))}", _SUBDIRS)
        if (row.action == "unvendor") != (row.spec is not None):
            raise _bad(f"{row.name}: spec goes with the action unvendor and with no other")


def _check_needs(needs: tuple[Need, ...], tables: Mapping[str, SonameTable]) -> None:
    for need in needs:
        where = f"needs of {need.package} {need.versions} on {need.subdir}"
        if need.subdir not in tables:
            raise _bad(f"{where}: unknown subdir", _SUBDIRS)
        for name in need.libraries:
            row = tables[need.subdir].libraries.get(name)
            if row is not None and row.spec is None:
                raise _bad(f"{where}: no package provides {name}")


def _bad(what: str, *others: str) -> DataError:
    files = ", ".join(str(DATA / name) for name in (_FILE, *others))
    return DataError(what, where=files, next_step="mend the row")
