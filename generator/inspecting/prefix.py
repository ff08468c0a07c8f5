"""Where a package's files lie once installed, and where its links lead."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Final

from generator.inspecting.binary import Binary
from generator.inspecting.findings import AuditReport
from generator.model.python_build import PythonBuild
from generator.model.subdir import Subdir
from generator.naming import Library, SonameTable

#: a chain of links longer than this goes in circles (Linux: MAXSYMLINKS)
_MOST_LINKS: Final = 40


@dataclass(frozen=True, kw_only=True)
class Sibling:
    """An armtorch package that the audited one depends on exactly, build string included."""

    package: str
    #: installed path -> what the loader sees of it; None where only the name is known
    libraries: Mapping[str, Binary | None]
    #: its own run dependencies: who depends on one exact build depends on them too
    depends: tuple[str, ...] = ()
    #: every installed path; empty where only libraries are known
    paths: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def named(
        cls,
        package: str,
        file_names: Iterable[str],
        *,
        depends: Iterable[str] = (),
        folder: str = "lib",
    ) -> Sibling:
        """Describe it by the file names of its libraries (``Cell.libraries``) in one folder."""
        libraries: dict[str, Binary | None] = {f"{folder}/{name}": None for name in file_names}
        return cls(package=package, libraries=MappingProxyType(libraries), depends=tuple(depends))

    @classmethod
    def audited(cls, report: AuditReport, *, depends: Iterable[str] = ()) -> Sibling:
        """Describe it by its own audit, which knows what its libraries need."""
        return cls(
            package=report.package,
            libraries=report.binaries,
            depends=tuple(depends),
            paths=report.paths,
        )


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who provides a file: the package itself, a sibling, or a dependency."""

    #: conda package; "" for the package itself
    package: str
    #: real path under $PREFIX
    path: str
    binary: Binary | None = None
    library: Library | None = None


def installed_path(path: str, *, subdir: Subdir, python: PythonBuild | None) -> str:
    """Return where a packaged path lies under $PREFIX.

    ``site-packages/`` and ``python-scripts/`` are placed by the client (CEP 20, as noarch python
    packages); without a Python any folder of the same depth will do.
    """
    head, _, rest = path.partition("/")
    if head == "site-packages" and rest:
        if subdir.os == "win":
            return f"Lib/{path}"
        return f"lib/python{python if python is not None else 3}/{path}"
    if head == "python-scripts" and rest:
        return f"{'Scripts' if subdir.os == 'win' else 'bin'}/{rest}"
    return path


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """$PREFIX as far as one package, its siblings and the SONAME table make it."""

    files: Mapping[str, Binary | None]
    links: Mapping[str, str]
    siblings: tuple[Sibling, ...]
    table: SonameTable

    def real(self, path: str) -> str | None:
        """Follow the package's links in every part of a path; None where it leaves the prefix."""
        done: list[str] = []
        todo = path.split("/")
        followed = 0
        while todo:
            part = todo.pop(0)
            if part in {"", "."}:
                continue
            if part == "..":
                if not done:
                    return None
                done.pop()
                continue
            done.append(part)
            target = self.links.get("/".join(done))
            if target is not None:
                followed += 1
                if target.startswith("/") or followed > _MOST_LINKS:
                    return None
                done.pop()
                todo = target.split("/") + todo
        return "/".join(done)

    def owner(self, path: str) -> Owner | None:
        """Say who provides a path, links followed; None where nobody is known to."""
        real = self.real(path)
        if real is None:
            return None
        real = self._spelling.get(self.table.fold(real), real)
        if real in self.files:
            return Owner(package="", path=real, binary=self.files[real])
        for sibling in self.siblings:
            if real in sibling.libraries:
                return Owner(package=sibling.package, path=real, binary=sibling.libraries[real])
            if real in sibling.paths:
                return Owner(package=sibling.package, path=real)
        if (library := self.table.provided_by(real)) is not None:
            return Owner(package=library.package or "", path=real, library=library)
        return None

    @cached_property
    def _spelling(self) -> Mapping[str, str]:
        """How files are spelled, by their folded paths: needed where case does not count."""
        if not self.table.subdir.startswith("win-"):
            return MappingProxyType({})
        targets = (row.target for row in self.table.libraries.values() if row.spec is not None)
        siblings = (path for sibling in self.siblings for path in sibling.libraries)
        known = (*targets, *siblings, *self.files)
        return MappingProxyType({self.table.fold(path): path for path in known})

    def has_folder(self, path: str) -> bool:
        """Whether the package or a sibling has files below a real path."""
        return path in self._folders

    @cached_property
    def _folders(self) -> frozenset[str]:
        """Every folder that files lie below: a package has thousands of links to ask about."""
        found: set[str] = set()
        for entries in (self.files, self.links, *(s.paths for s in self.siblings)):
            for entry in entries:
                folder = posixpath.dirname(entry)
                while folder and folder not in found:
                    found.add(folder)
                    folder = posixpath.dirname(folder)
        return frozenset(found)

    def by_name(self, name: str) -> Owner | None:
        """Find a library by its name alone, wherever it lies: own, siblings', dependencies'."""
        last = self._base(name)
        for path, binary in self.files.items():
            if binary is not None and (binary.name == name or self._base(path) == last):
                return Owner(package="", path=path, binary=binary)
        for link in self.links:
            if self._base(link) == last and (found := self.owner(link)) is not None:
                return found
        for sibling in self.siblings:
            for path, known in sibling.libraries.items():
                if self._base(path) == last or (known is not None and known.name == name):
                    return Owner(package=sibling.package, path=path, binary=known)
        library = self.table.find(name)
        if library is not None and library.package is not None:
            return Owner(package=library.package, path=library.target, library=library)
        return None

    def _base(self, path: str) -> str:
        return self.table.fold(posixpath.basename(path))
