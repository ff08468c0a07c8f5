"""``lint --binaries``: audits built packages, each by itself and each trio together."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from rattler import MatchSpec, PackageRecord

from generator.building import open_payload, read_info, read_json
from generator.console import Narrator
from generator.datafiles import subdirs
from generator.errors import AbsentError, IntegrityError, LinkageError
from generator.inspecting.audit import PackageAudit
from generator.inspecting.findings import AuditReport, Finding
from generator.inspecting.prefix import Sibling
from generator.inspecting.together import audit_together
from generator.model import PythonBuild
from generator.rattler_names import BuildString

#: what every package of a cell's Python depends on, and what is installed with it
_HUB: Final = "pytorch"
#: packages of ours whose libraries other packages of ours need
_CARRIERS: Final = frozenset({"libtorch", _HUB})
_SUFFIX: Final = ".conda"


@dataclass(frozen=True, kw_only=True)
class Built:
    """A .conda file, as far as its info/index.json goes."""

    path: Path
    name: str
    subdir: str
    depends: tuple[str, ...]

    @property
    def python(self) -> PythonBuild | None:
        """The Python it is for; None for any."""
        return PythonBuild.of_depends(self.depends)

    def takes(self, other: Built) -> bool:
        """Whether it depends on a build of ``other``, and both are for one Python."""
        if None not in (self.python, other.python) and self.python != other.python:
            return False
        return any(
            _named(other.path, other.name, MatchSpec(spec))
            for spec in self.depends
            if spec.split(" ", 1)[0] == other.name
        )


@dataclass(frozen=True, kw_only=True)
class Audited:
    """One package's audit."""

    built: Built
    report: AuditReport


@dataclass(frozen=True, kw_only=True)
class Trio:
    """Packages that are installed together, and what is wrong between them."""

    files: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class BinaryLint:
    """The outcome of ``lint --binaries``."""

    packages: tuple[Audited, ...]
    trios: tuple[Trio, ...]
    #: packages for every platform, which have no binaries
    skipped: tuple[str, ...]

    @property
    def errors(self) -> tuple[tuple[str, Finding], ...]:
        """Open errors, each with the file or files it is about."""
        return tuple((where, one) for where, one in self.findings() if one.severity == "error")

    def findings(self) -> Iterator[tuple[str, Finding]]:
        """Yield every finding with the package file, or the trio's files, it is about."""
        for package in self.packages:
            for found in package.report.findings:
                yield package.built.path.name, found
        for trio in self.trios:
            for found in trio.findings:
                yield " + ".join(trio.files), found

    def check(self) -> None:
        """Raise LinkageError where an error is open, naming the first ones."""
        if not self.errors:
            return
        count = len(self.errors)
        where, first = self.errors[0]
        raise LinkageError(
            f"{count} open {'error' if count == 1 else 'errors'}; the first is {first.rule.id} "
            f"{first.file}: {first.what}",
            where=where,
            next_step=f"{first.rule.id}: {first.rule.fix}",
        )


def lint_binaries(paths: Iterable[Path], *, narrator: Narrator) -> BinaryLint:
    """Audit built packages; what they depend on is looked for beside them.

    Raises AbsentError: a package that one of them depends on exactly is not in its folder.
    IntegrityError: a file is not a usable .conda file. LinkageError: a package is for a subdir that
    armtorch does not serve.
    """
    auditor = _Auditor(narrator)
    chosen = [auditor.read(path) for path in sorted(set(paths))]
    packages = [auditor.audit(built) for built in chosen if built.subdir != "noarch"]
    return BinaryLint(
        packages=tuple(packages),
        trios=tuple(_trios(auditor, packages)),
        skipped=tuple(built.path.name for built in chosen if built.subdir == "noarch"),
    )


class _Auditor:
    """Audits each package once, after those it depends on."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self._read: dict[Path, Built] = {}
        self._done: dict[Path, Audited] = {}

    def read(self, path: Path) -> Built:
        """Read a package's metadata; raises IntegrityError."""
        if path not in self._read:
            self._read[path] = read_built(path)
        return self._read[path]

    def audit(self, built: Built) -> Audited:
        """Audit a package, its siblings first; raises as `lint_binaries` does."""
        if (known := self._done.get(built.path)) is not None:
            return known
        siblings = [self.audit(one) for one in self.siblings(built)]
        subdir = subdirs().get(built.subdir)
        if subdir is None:
            raise LinkageError(
                f"it is for {built.subdir}, which armtorch does not serve",
                where=built.path.name,
                next_step=f"name packages for {', '.join(subdirs())}",
            )
        with self._narrator.task(f"auditing {built.path.name}"):
            audit = PackageAudit(built.name, subdir=subdir, python=built.python, symbols=True)
            with open_payload(built.path) as tar:
                for entry in tar:
                    if entry.issym():
                        audit.link(entry.name, entry.linkname)
                    elif entry.isreg():
                        audit.file(entry.name, entry.size, partial(_opened, tar, entry))
            report = audit.finish(
                built.depends,
                siblings=[Sibling.audited(s.report, depends=s.built.depends) for s in siblings],
            )
        self._done[built.path] = Audited(built=built, report=report)
        return self._done[built.path]

    def siblings(self, built: Built) -> tuple[Built, ...]:
        """Return the packages beside this one that it depends on by build, theirs included."""
        found: dict[Path, Built] = {}
        for text in built.depends:
            spec = MatchSpec(text)
            name = text.split(" ", 1)[0]
            if spec.build is None or name == "python_abi":
                continue
            beside = self._matching(name, spec, built)
            if beside is not None and beside.path not in found:
                found[beside.path] = beside
                found.update((one.path, one) for one in self.siblings(beside))
        return tuple(found.values())

    def _matching(self, name: str, spec: MatchSpec, built: Built) -> Built | None:
        there = sorted(built.path.parent.glob(f"{name}-*{_SUFFIX}"))
        for path in there:
            if _named(path, name, spec) and built.takes(beside := self.read(path)):
                return beside
        if name in _CARRIERS:
            raise AbsentError(
                f"it depends on {spec}, which is not in its folder",
                where=str(built.path),
                next_step="build that, or put its file there",
            )
        return None


def _named(path: Path, name: str, spec: MatchSpec) -> bool:
    """Whether a file name, ``<name>-<version>-<build>.conda``, is one that ``spec`` takes."""
    parts = path.name.removesuffix(_SUFFIX).rsplit("-", 2)
    if len(parts) != 3 or parts[0] != name:
        return False
    number = parts[2].rpartition("_")[2]
    record = PackageRecord(
        name=name,
        version=parts[1],
        build=BuildString(parts[2]),
        build_number=int(number) if number.isdecimal() else 0,
        subdir=path.parent.name,
    )
    return spec.matches(record)


def read_built(path: Path) -> Built:
    """Read a package's info/index.json.

    Raises IntegrityError: it is not a usable .conda file, or says too little.
    """
    if not path.is_file():
        raise AbsentError("there is no such file", where=str(path), next_step="check the name")
    index: dict[str, Any] = read_json(read_info(path), "info/index.json", path)
    try:
        return Built(
            path=path,
            name=str(index["name"]),
            subdir=str(index["subdir"]),
            depends=tuple(map(str, index.get("depends", ()))),
        )
    except KeyError as error:
        raise IntegrityError(
            f"info/index.json has no {error}", where=str(path), next_step="build it again"
        ) from error


def _opened(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> AbstractContextManager[BinaryIO]:
    return closing(cast("BinaryIO", tar.extractfile(entry)))


def _trios(auditor: _Auditor, packages: Iterable[Audited]) -> Iterator[Trio]:
    """Judge together what one `pytorch` brings: what it depends on, and what depends on it."""
    those = {package.built.path: package for package in packages}
    hubs = {
        one.path: one
        for package in those.values()
        for one in (package.built, *auditor.siblings(package.built))
        if one.name == _HUB
    }
    for hub in hubs.values():
        members = [hub, *auditor.siblings(hub)]
        # one package for any Python belongs to the trio of each
        members += [p.built for p in those.values() if p.built.takes(hub)]
        # triton, which it takes by a range of versions and not by one build
        members += [p.built for p in those.values() if hub.takes(p.built)]
        files = sorted({one.path: one for one in members}.values(), key=lambda one: one.path.name)
        yield Trio(
            files=tuple(one.path.name for one in files),
            findings=audit_together(
                [auditor.audit(one).report for one in files], subdir=subdirs()[hub.subdir]
            ),
        )
