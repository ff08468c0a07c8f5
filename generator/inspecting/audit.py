"""The linkage audit of one package, fed while its files stream by."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import MappingProxyType
from typing import BinaryIO, Final

from rattler import Version

from generator.errors import LinkageError
from generator.inspecting.binary import Binary, Load, dotted
from generator.inspecting.findings import AuditReport, Finding, Provider, linkage_policy
from generator.inspecting.loading import DyldLoader, GlibcLoader, Loader, Opening, expand, openings
from generator.inspecting.prefix import Owner, Prefix, Sibling, installed_path
from generator.inspecting.properties import (
    absolute_need,
    is_absolute,
    judge_properties,
    judge_text,
)
from generator.inspecting.reading import read_binary, read_library
from generator.inspecting.rules import Rule
from generator.inspecting.symbols import Symbols
from generator.inspecting.windows import WindowsLoader
from generator.model.floor import FLOORS, RaisedFloor
from generator.model.python_build import PythonBuild
from generator.model.subdir import Subdir
from generator.naming import SonameTable, sonames

_LOWEST: Final = re.compile(r">=\s*(?P<version>[\w.!+]+)")
_LIBRARY: Final = re.compile(r"\.(so(\.[\w.]+)?|dylib|dll)$")
_LOADERS: Final[Mapping[str, type[Loader]]] = MappingProxyType(
    {"linux": GlibcLoader, "osx": DyldLoader, "win": WindowsLoader}
)
#: bytes that are read of a text file: cmake files have some 100 kB
_LONGEST_TEXT: Final = 4 << 20


class PackageAudit:
    """Takes a package's files and links one by one, and judges them at the end.

    >>> audit = PackageAudit("libtorch", subdir=subdir)          # doctest: +SKIP
    >>> audit.file("lib/libc10.so", size, lambda: open(...))     # doctest: +SKIP
    >>> audit.link("lib/libgomp.so", "libgomp.so.1")             # doctest: +SKIP
    >>> audit.finish(["libstdcxx >=13", "__glibc >=2.28"]).check()  # doctest: +SKIP
    """

    def __init__(
        self,
        package: str,
        *,
        subdir: Subdir,
        python: PythonBuild | None = None,
        symbols: bool = False,
    ) -> None:
        self._package, self._subdir, self._python = package, subdir, python
        self._table: SonameTable = sonames(subdir.name)
        self._files: dict[str, Binary | None] = {}
        self._links: dict[str, str] = {}
        #: installed path -> path in the package
        self._packaged: dict[str, str] = {}
        self._findings: list[Finding] = []
        #: by installed path; None where they are not to be read
        self._symbols: dict[str, Symbols] | None = {} if symbols else None

    def file(
        self, path: str, size: int, opener: Callable[[], AbstractContextManager[BinaryIO]]
    ) -> None:
        """Take one regular file.

        ``path`` has forward slashes. ``opener`` is called at once, and what it opens closed before
        this returns.
        """
        place = self._place(path)
        self._files[place] = None
        try:
            with opener() as stream:
                if linkage_policy().reads_text(path):
                    content = stream.read(_LONGEST_TEXT)
                    self._findings += filter(None, [judge_text(place, content)])
                    return
                slices = self._read(stream, size, path)
        except LinkageError as error:
            self._find(Rule.CORRUPT, place, error.what)
            return
        wanted = self._subdir.binary_machine
        ours = next((part for part in slices if part.machine == wanted), None)
        foreign = [
            part.machine for part in slices if part.machine not in linkage_policy().device_machines
        ]
        if ours is not None:
            self._files[place] = ours
        elif foreign:
            self._find(Rule.MACHINE, place, f"it is for {', '.join(foreign)}, not {wanted}")

    def _read(self, stream: BinaryIO, size: int, path: str) -> tuple[Binary, ...]:
        if self._symbols is None:
            return read_binary(stream, size, path)
        slices, symbols = read_library(stream, size, path, self._subdir.binary_machine)
        if symbols is not None:
            self._symbols[self._place(path)] = symbols
        return slices

    def link(self, path: str, target: str) -> None:
        """Take one symbolic link: its path in the package, and its target as it is written."""
        self._links[self._place(path)] = target

    def raised_floor(self, declared: Iterable[str]) -> RaisedFloor | None:
        """Return the system version the binaries need, where ``declared`` admits an older one."""
        name = FLOORS.get(self._subdir.os)
        highest = _highest_floor(self._files)
        stated = _stated_floor(name, declared)
        if name is None or highest is None or stated >= highest[0]:
            return None
        floor, place = highest
        return RaisedFloor(
            package=name,
            stated=dotted(stated),
            needed=dotted(floor),
            file=self._packaged.get(place, place),
        )

    def finish(self, declared: Iterable[str], *, siblings: Iterable[Sibling] = ()) -> AuditReport:
        """Judge the whole package.

        ``declared`` are its run dependencies as MatchSpecs, virtual packages among them,
        ``siblings`` the armtorch packages it depends on exactly.
        """
        specs = tuple(declared)
        prefix = Prefix(
            files=MappingProxyType(self._files),
            links=MappingProxyType(self._links),
            siblings=tuple(siblings),
            table=self._table,
        )
        judging = _Judging(prefix, specs, self._subdir)
        found = [
            *self._findings,
            *judging.links(),
            *judging.loads(),
            *judge_properties(self._files, self._table),
            *judging.floors(),
            *judging.unused(),
        ]
        policy = linkage_policy()
        judged = (
            policy.judge(packaged, package=self._package, subdir=self._subdir.name)
            for one in found
            for packaged in [replace(one, file=self._packaged.get(one.file, one.file))]
        )
        ordered = sorted(
            dict.fromkeys(judged),
            key=lambda one: (one.severity, one.rule.id, one.file, one.name, one.what),
        )
        return AuditReport(
            package=self._package,
            findings=tuple(ordered),
            binaries=MappingProxyType({p: b for p, b in self._files.items() if b is not None}),
            paths=frozenset((*self._files, *self._links)),
            providers=frozenset(
                Provider(one.library, one.package or self._package, one.path)
                for one in judging.providers
            ),
            symbols=MappingProxyType(self._symbols or {}),
        )

    def _place(self, path: str) -> str:
        place = installed_path(path, subdir=self._subdir, python=self._python)
        self._packaged[place] = path
        return place

    def _find(self, rule: Rule, place: str, what: str) -> None:
        self._findings.append(Finding(rule=rule, file=place, what=what))


class _Judging:
    """Applies the rules to one finished package."""

    def __init__(self, prefix: Prefix, declared: tuple[str, ...], subdir: Subdir) -> None:
        self._prefix, self._subdir = prefix, subdir
        self._declared = {spec.split(" ", 1)[0]: spec for spec in declared}
        self._inherited = _inherited(
            prefix.table, [s for s in prefix.siblings if s.package in self._declared]
        )
        self._used: set[str] = set()
        #: collected by `loads`; the package itself is ""
        self.providers: set[Provider] = set()

    def links(self) -> Iterator[Finding]:
        """Judge where the links lead."""
        for path, target in sorted(self._prefix.links.items()):
            real = self._prefix.real(path)
            if real is None:
                yield Finding(rule=Rule.ESCAPES, file=path, what=f"it leads to {target}")
                continue
            owner = self._prefix.owner(path)
            if owner is not None:
                yield from self._dependency(owner, path, posixpath.basename(real))
            elif _LIBRARY.search(real) or not (self._prefix.has_folder(real) or self._vague()):
                yield Finding(rule=Rule.DANGLES, file=path, what=f"it leads to {real}")

    def _vague(self) -> bool:
        """Whether a sibling's files other than libraries are unknown."""
        return any(not sibling.paths for sibling in self._prefix.siblings)

    def loads(self) -> Iterator[Finding]:
        """Judge everything the binaries ask for, under every path they are opened by."""
        opened = openings(self._prefix)
        loader = _LOADERS[self._subdir.os](self._prefix, opened)
        for opening in opened:
            for load in opening.binary.needs:
                yield from self._load(loader, opening, load)
            if opening.binary.executable:
                yield from self._start(loader, opening)
            search = opening.binary.runpath or opening.binary.rpath
            outside = [folder for folder in search if expand(folder, opening.folder) is None]
            if outside:
                yield Finding(rule=Rule.BUILD_MACHINE, file=opening.path, what=", ".join(outside))

    def _start(self, loader: Loader, program: Opening) -> Iterator[Finding]:
        """Judge what a program's libraries miss when it starts without python around it."""
        for opening, load in loader.missing_at_start(program):
            known = self._prefix.table.find(load.name)
            owner = self._prefix.by_name(load.name)
            if owner is not None and (known is None or known.action != "system"):
                yield Finding(
                    rule=Rule.UNREACHABLE,
                    file=program.path,
                    name=load.name,
                    what=f"when it starts, {opening.path} is loaded: "
                    f"{_missing(load, owner, opening)}",
                )

    def _load(self, loader: Loader, opening: Opening, load: Load) -> Iterator[Finding]:
        known = self._prefix.table.find(load.name)
        if known is not None and known.action == "system":
            return
        if is_absolute(load.name, self._prefix.table):
            yield absolute_need(opening.path, load)
            return
        if (owner := loader.find(opening, load)) is None:
            owner = self._prefix.by_name(load.name)
            if load.weak and owner is None:
                return
            rule = Rule.NOBODY if owner is None else Rule.UNREACHABLE
            yield Finding(
                rule=rule, file=opening.path, name=load.name, what=_missing(load, owner, opening)
            )
        if owner is not None:
            # a mangled name has no row of its own, but what its link leads to has
            row = owner.library or known
            library = row.name if row is not None else load.name
            self.providers.add(Provider(library, owner.package, owner.path))
            yield from self._dependency(owner, opening.path, load.name)
            yield from self._compatibility(owner, opening, load)

    def _dependency(self, owner: Owner, path: str, name: str) -> Iterator[Finding]:
        if not owner.package:
            return
        self._used.add(owner.package)
        if owner.package not in self._declared and owner.package not in self._inherited:
            yield Finding(
                rule=Rule.UNDECLARED,
                file=path,
                name=name,
                what=f"{owner.package} provides {name}",
            )

    def _compatibility(self, owner: Owner, opening: Opening, load: Load) -> Iterator[Finding]:
        if owner.library is None:
            return
        spec = self._declared.get(owner.package, "")
        for row in owner.library.compatibility:
            needed = tuple(int(part) for part in row.version.split("."))
            if load.compatibility != needed:
                continue
            lowest = _LOWEST.search(spec)
            if lowest is None or Version(lowest["version"]) < Version(row.package):
                yield Finding(
                    rule=Rule.COMPATIBILITY,
                    file=opening.path,
                    name=load.name,
                    what=f"compatibility version {row.version} needs {owner.package} "
                    f">={row.package}, declared is {spec or 'nothing'!r}",
                )

    def floors(self) -> Iterator[Finding]:
        """Compare the declared system with what the binaries need."""
        name = FLOORS.get(self._subdir.os)
        asking = _highest_floor(self._prefix.files)
        if name is None or asking is None:
            return
        highest, path = asking
        said = _stated_floor(name, self._declared.values())
        what = f"{name} {dotted(highest)} is needed, {dotted(said) or 'nothing'} is declared"
        if said < highest:
            yield Finding(rule=Rule.FLOOR_TOO_LOW, file=path, what=what)
        elif said > highest:
            yield Finding(rule=Rule.FLOOR_HIGHER, file="", what=what)

    def unused(self) -> Iterator[Finding]:
        """Name declared dependencies whose libraries nothing asked for. Comes after the rest."""
        mapped = {row.package for row in self._prefix.table.libraries.values()} - {None}
        for package in sorted(set(self._declared) & mapped - self._used):
            yield Finding(rule=Rule.UNUSED, file="", name=package, what=self._declared[package])


def _highest_floor(
    files: Mapping[str, Binary | None],
) -> tuple[tuple[int, ...], str] | None:
    """Return the newest system that a binary needs, and the first file in order that needs it."""
    asking = [(b.floor, path) for path, b in sorted(files.items()) if b is not None and b.floor]
    return max(asking, key=lambda row: row[0], default=None)


def _stated_floor(name: str | None, declared: Iterable[str]) -> tuple[int, ...]:
    """Return the oldest system that dependencies admit by the virtual package; () for any."""
    spec = next((spec for spec in declared if spec.split(" ", 1)[0] == name), "")
    lowest = _LOWEST.search(spec)
    return tuple(int(part) for part in lowest["version"].split(".")) if lowest else ()


def _inherited(table: SonameTable, siblings: Sequence[Sibling]) -> set[str]:
    """List what comes with the siblings' exact builds, as told or as their `needs` rows say."""
    packages = {sibling.package for sibling in siblings}
    libraries = [
        table.libraries[name]
        for need in table.needs
        if need.package in packages
        for name in need.libraries
    ]
    told = {spec.split(" ", 1)[0] for sibling in siblings for spec in sibling.depends}
    return told | {library.package for library in libraries if library.package is not None}


def _missing(load: Load, owner: Owner | None, opening: Opening) -> str:
    if owner is None:
        return f"it needs {load.name}, which neither the package nor a known dependency has"
    search = opening.binary.runpath if opening.binary.runpath is not None else opening.binary.rpath
    return (
        f"it needs {load.name}, which is {owner.path} of {owner.package or 'this package'}, and "
        f"searches {':'.join(search) or 'no folder of its own'}"
    )
