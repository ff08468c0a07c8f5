"""How the loaders of Linux and macOS look for a library: two resolvers with different rules.

Sources: ld.so(8), "Dynamic string tokens" and the search order, with what was measured on glibc
2.36; dyld(1) for @loader_path, @rpath and their order.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from generator.inspecting.binary import Binary, Load
from generator.inspecting.prefix import Owner, Prefix

#: conda's python carries the search path ``$ORIGIN/../lib`` as DT_RPATH: conda-build and
#: rattler-build write DT_RPATH, never DT_RUNPATH
_PYTHONS: Final = "lib"


@dataclass(frozen=True, kw_only=True)
class Opening:
    """A binary, and the path under which the loader opens it."""

    path: str
    binary: Binary

    @property
    def folder(self) -> str:
        """What ``$ORIGIN`` stands for."""
        return posixpath.dirname(self.path)


def openings(prefix: Prefix) -> tuple[Opening, ...]:
    """List under which paths the package's and its siblings' binaries may be opened.

    glibc takes the link's folder as ``$ORIGIN`` of a library opened through a link (T1), so each
    link counts; an executable always gets its real folder, and dyld always takes the real one.
    """
    found = [
        Opening(path=path, binary=binary)
        for path, binary in prefix.files.items()
        if binary is not None
    ]
    for link in prefix.links:
        owner = prefix.owner(link)
        if owner is None or owner.binary is None:
            continue
        if owner.binary.format == "elf" and not owner.binary.executable:
            found.append(Opening(path=link, binary=owner.binary))
    return tuple(sorted(found, key=lambda opening: opening.path))


class Loader:
    """Finds the libraries that a binary asks for, by the rules of one system."""

    def __init__(self, prefix: Prefix, opened: Iterable[Opening]) -> None:
        self._prefix = prefix
        del opened  # only ld.so lends search paths from who loads a library

    def find(self, opening: Opening, load: Load) -> Owner | None:
        """Return who provides ``load`` where the loader looks for it; None where it finds none."""
        owners = map(self._prefix.owner, self._paths(opening, load.name))
        return next((owner for owner in owners if owner is not None), None)

    def missing_at_start(self, program: Opening) -> Iterator[tuple[Opening, Load]]:
        """Yield what a program's libraries miss when it starts; its own needs are `find`'s."""
        raise NotImplementedError

    def _paths(self, opening: Opening, name: str) -> Iterator[str]:
        raise NotImplementedError


class GlibcLoader(Loader):
    """Finds NEEDED names as ld.so does."""

    def __init__(self, prefix: Prefix, opened: Iterable[Opening]) -> None:
        super().__init__(prefix, ())
        self._opened = tuple(opened)
        self._inherited = self._inherit()

    def missing_at_start(self, program: Opening) -> Iterator[tuple[Opening, Load]]:
        """Walk all that a program loads, breadth first as ld.so does, and yield what it misses.

        Here nothing is lent by python's search path, and what is loaded already is not looked
        for again (T4). The program's own needs are `find`'s to judge.
        """
        todo: list[tuple[Opening, tuple[str, ...]]] = [(program, ())]
        loaded: set[str | None] = set()
        while todo:
            opening, chain = todo.pop(0)
            runpath = opening.binary.runpath
            own = (
                () if runpath is not None else tuple(_inside(opening.binary.rpath, opening.folder))
            )
            folders = own + chain if runpath is None else tuple(_inside(runpath, opening.folder))
            for load in opening.binary.needs:
                if load.name in loaded:
                    continue
                path = next(
                    (p for f in folders if self._prefix.owner(p := f"{f}/{load.name}")), None
                )
                loaded.add(load.name)  # or missed, which is said once
                if path is None:
                    if opening is not program:
                        yield opening, load
                    continue
                owner = self._prefix.owner(path)
                if owner is not None and owner.binary is not None:
                    loaded.add(owner.binary.name)
                    todo.append((Opening(path=path, binary=owner.binary), own + chain))

    def _paths(self, opening: Opening, name: str) -> Iterator[str]:
        return (f"{folder}/{name}" for folder in self._folders(opening))

    def _folders(self, opening: Opening) -> Iterator[str]:
        if opening.binary.runpath is not None:
            # a RUNPATH switches every RPATH off, its own and the loaders' (T3)
            yield from _inside(opening.binary.runpath, opening.folder)
            return
        yield from _inside(opening.binary.rpath, opening.folder)
        yield from self._inherited[opening.path]
        if not opening.binary.executable:
            yield _PYTHONS

    def _inherit(self) -> dict[str, tuple[str, ...]]:
        """Collect the DT_RPATH folders of those that load a binary, and of their loaders."""
        loaders: dict[str, set[str]] = {opening.path: set() for opening in self._opened}
        by_name: dict[str, list[Opening]] = {}
        for opening in self._opened:
            for name in {posixpath.basename(opening.path), opening.binary.name}:
                if name is not None:
                    by_name.setdefault(name, []).append(opening)
        for opening in self._opened:
            for load in opening.binary.needs:
                for loaded in by_name.get(load.name, ()):
                    loaders[loaded.path].add(opening.path)
        own = {
            opening.path: ()
            if opening.binary.runpath is not None
            else tuple(_inside(opening.binary.rpath, opening.folder))
            for opening in self._opened
        }
        inherited = {}
        for path, direct in loaders.items():
            chain, todo = {path}, sorted(direct)
            folders: dict[str, None] = {}
            while todo:
                loader = todo.pop(0)
                if loader not in chain:
                    chain.add(loader)
                    folders.update(dict.fromkeys(own[loader]))
                    todo += sorted(loaders[loader])
            inherited[path] = tuple(folders)
        return inherited


class DyldLoader(Loader):
    """Finds install names as dyld does: ``@loader_path`` is the real file's folder.

    The LC_RPATHs of those that load a binary are not counted on, python's neither: what is found
    without them is found.
    """

    def missing_at_start(self, program: Opening) -> Iterator[tuple[Opening, Load]]:
        """Nothing: a load command means the same file whichever program it is loaded into."""
        del program
        yield from ()

    def _paths(self, opening: Opening, name: str) -> Iterator[str]:
        variable, _, rest = name.partition("/")
        if variable == "@loader_path":
            yield from _inside([name], opening.folder)
        elif variable == "@rpath":
            for folder in _inside(opening.binary.rpath, opening.folder):
                yield f"{folder}/{rest}"


def _inside(folders: Iterable[str], origin: str) -> Iterator[str]:
    """Expand search folders; those outside $PREFIX hold nothing a package may count on."""
    for folder in folders:
        if (path := expand(folder, origin)) is not None:
            yield path


def expand(folder: str, origin: str) -> str | None:
    """Return a search folder under $PREFIX, or None where it is absolute or leads out."""
    for variable in ("$ORIGIN", "${ORIGIN}", "@loader_path"):
        if folder == variable or folder.startswith(f"{variable}/"):
            path = posixpath.normpath(posixpath.join(origin, folder[len(variable) :].lstrip("/")))
            return None if path == ".." or path.startswith("../") else path
    return None
