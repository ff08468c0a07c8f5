"""Makes the packages of a base from files that are here, and proves that they hold together."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from packaging.utils import canonicalize_name

from generator.datafiles import subdirs
from generator.debian import interpreter, layout, wheels
from generator.debian.archive import Package
from generator.debian.binaries import adopt, binaries, check_patchelf
from generator.debian.deb import Deb
from generator.debian.rows import BaseRows, DebRow, MetaRow, Target, WheelRow, unmapped
from generator.debian.wheels import WheelFile
from generator.documents import holds, parse_requirement
from generator.errors import DataError, LinkageError
from generator.inspecting.binary import dotted
from generator.model import PythonBuild
from generator.naming import conda_name
from generator.naming.specifiers import conda_version_spec

_BUILD_HASH: Final = 7
#: below info/: what the package is made of, and which file is which
_ACCOUNT: Final = "armtorch/debian.json"
#: of packages for the C library of the suite
_GLIBC: Final = "__glibc >={version},<3.0.a0"


@dataclass(frozen=True, kw_only=True)
class Materials:
    """What a base is made of, and for what."""

    rows: BaseRows
    target: Target
    #: by Debian's name
    debs: Mapping[str, Deb]
    #: by project
    wheels: Mapping[str, WheelFile]

    @property
    def libc(self) -> Deb:
        """The C library, which is the system's."""
        return self.debs[self.rows.libc]

    def version(self, row: DebRow) -> str:
        """Return the version of a row's package; raises DataError where its rule does not fit."""
        deb = self.debs[row.debs[0]]
        if not row.version:
            return deb.upstream
        if (found := re.search(row.version, deb.version)) is None:
            raise DataError(
                f"{row.conda}: {deb.name} {deb.version} does not fit {row.version!r}",
                where="generator/data/debian.yaml",
                next_step="mend `version` of the row",
            )
        return ".".join(found.groups())


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A package that is known by its name, and how to lay out its files."""

    package: Package
    #: fills a folder and returns what only its files tell, by the fields of a Package
    stage: Callable[[Path], Mapping[str, Any]]


def planned(materials: Materials) -> tuple[Planned, ...]:
    """Return the packages of a base, named by all that they are made of; nothing is unpacked.

    Raises DataError: a dependency of Debian's has no row.
    """
    rows = materials.rows
    return (
        *(_deb_package(row, materials) for row in rows.packages),
        *(_meta_package(row, materials) for row in rows.metapackages),
        *(_wheel_package(row, materials) for row in rows.wheels),
    )


def staged(plans: Iterable[Planned], materials: Materials, work: Path, jobs: int) -> list[Package]:
    """Lay out packages below a folder, all of a base, and hold each against the others.

    Raises MissingToolError: patchelf. LinkageError: a library or a link leads nowhere.
    """
    check_patchelf(materials.rows.patchelf)

    def one(plan: Planned) -> Package:
        tree = work / plan.package.name
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir(parents=True)
        return replace(plan.package, tree=tree, **plan.stage(tree))

    with ThreadPoolExecutor(jobs) as pool:
        # several rows may take files of one package
        list(pool.map(lambda deb: deb.folder, materials.debs.values()))
        packages = list(pool.map(one, plans))
    there = {each.name: each for each in packages}
    system = {PurePosixPath(name).name for name, _ in materials.libc.files() if ".so" in name}
    floor = tuple(map(int, materials.libc.upstream.split(".")))
    machine = subdirs()[materials.target.subdir].binary_machine
    for package in packages:
        _prove(package, there, system, floor, machine)
    return packages


def _prove(
    package: Package,
    there: Mapping[str, Package],
    system: set[str],
    floor: tuple[int, ...],
    machine: str,
) -> None:
    """Refuse what does not load: a library that is not its own, a dependency's or the system's."""
    assert package.tree is not None  # noqa: S101 - narrows the type
    beside = {name for name in map(_name, package.depends) if not name.startswith("__")}
    if lacking := sorted(beside - there.keys()):
        raise _unmet(package, f"depends on {', '.join(lacking)}, which the base does not have")
    own = {name for name, _ in package.files()}
    reached = own.union(*({name for name, _ in there[each].files()} for each in beside))
    libraries = {PurePosixPath(name).name for name in reached}
    for path, binary in binaries(package.tree):
        name = path.relative_to(package.tree).as_posix()
        if binary.machine != machine:
            raise _unmet(package, f"{name} is for {binary.machine}, not {machine}")
        if binary.floor > floor:
            raise _unmet(package, f"{name} needs glibc {dotted(binary.floor)}")
        for load in binary.needs:
            if load.name not in libraries and load.name not in system:
                raise _unmet(package, f"{name} needs {load.name}, which nothing it depends on has")
    folders = {str(parent) for name in reached for parent in PurePosixPath(name).parents}
    for name, path in package.files():
        if path.is_symlink():
            aim = os.path.normpath(PurePosixPath(name).parent / path.readlink())
            if aim not in reached and aim not in folders:
                raise _unmet(package, f"{name} is a link to {aim}, which nothing it depends on has")


def _unmet(package: Package, what: str) -> LinkageError:
    return LinkageError(
        what,
        where=f"{package.subdir}/{package.name}",
        next_step="mend the row in generator/data/debian.yaml: files, links, debs or depends",
    )


def _deb_package(row: DebRow, materials: Materials) -> Planned:
    target, version = materials.target, materials.version(row)
    debs = [materials.debs[name] for name in row.debs]
    depends = [spec.format(version=version, upper=row.upper(version)) for spec in row.depends]
    depends += _followed(row, debs, materials)
    depends.append(_GLIBC.format(version=materials.libc.upstream))
    package = Package(
        name=row.conda,
        version=version,
        build=row.build,
        number=row.number,
        subdir=target.subdir,
        depends=tuple(sorted(set(depends))),
        constrains=tuple(spec.format(version=version) for spec in row.constrains),
        site_packages=f"lib/python{target.python}/site-packages" if row.interpreter else None,
        timestamp=materials.rows.timestamp,
        about={
            "summary": debs[0].control.get("Description", ""),
            "home": debs[0].control.get("Homepage", ""),
        },
    )

    def stage(tree: Path) -> dict[str, Any]:
        origins = layout.lay_out(row, debs, tree, materials.rows, target)
        changed = _adopt_all(tree, materials)
        if row.interpreter:
            interpreter.restore(tree, target.python)
        newest = max(int(path.lstat().st_mtime) for deb in debs for _, path in deb.files())
        account = {
            "sources": _sources(debs, target),
            "files": {name: f"{origin}{changed.get(name, '')}" for name, origin in origins.items()},
        }
        return {
            "timestamp": newest * 1000,
            "info": {**layout.copyrights(row, debs), _ACCOUNT: _text(account)},
        }

    return _named(package, [asdict(row), [deb.sha256 for deb in debs]], materials, stage)


def _adopt_all(tree: Path, materials: Materials) -> dict[str, str]:
    """Let binaries that need a library beside the system's look in the prefix; say which did."""
    system = {PurePosixPath(name).name for name, _ in materials.libc.files()}
    changed = {}
    for path, binary in binaries(tree):
        if any(load.name not in system for load in binary.needs):
            adopt(path, binary, tree)
            changed[path.relative_to(tree).as_posix()] = " rpath"
    return changed


def _followed(row: DebRow, debs: Iterable[Deb], materials: Materials) -> Iterator[str]:
    """Give what Debian's dependencies are in conda."""
    rows = materials.rows
    for deb in debs:
        for names in deb.dependencies():
            if any(name in row.debs or name in rows.system for name in names):
                continue
            if any(name in row.without for name in names):
                continue
            other = next(filter(None, map(rows.serving, names)), None)
            if other is None:
                raise unmapped(row, deb.name, " | ".join(names))
            if other != row:
                yield from other.required(materials.version(other))


def _meta_package(row: MetaRow, materials: Materials) -> Planned:
    versions = {each.conda: materials.version(each) for each in materials.rows.packages}

    def stage(tree: Path) -> dict[str, Any]:
        layout.link_all(row.links, tree)
        return {}

    package = Package(
        name=row.conda,
        version=row.version.format(**versions),
        build=row.build,
        number=row.number,
        subdir=materials.target.subdir,
        depends=tuple(spec.format(**versions) for spec in row.depends),
        constrains=tuple(spec.format(**versions) for spec in row.constrains),
        timestamp=materials.rows.timestamp,
    )
    return _named(package, [asdict(row)], materials, stage)


def _wheel_package(row: WheelRow, materials: Materials) -> Planned:
    target, wheel = materials.target, materials.wheels[canonicalize_name(row.project)]
    python, said = PythonBuild.parse(target.python), wheel.metadata()
    environment = {**subdirs()[target.subdir].markers, **python.markers}
    depends = list(row.depends)
    for text in said.requires_dist:
        requirement = parse_requirement(text, wheel.path.name)
        if holds(requirement, environment, wheel.path.name):
            spec = conda_version_spec(str(requirement.specifier))
            depends.append(f"{conda_name(requirement.name)} {spec}".rstrip())
    site_packages = "site-packages"
    if wheel.is_pure:
        depends.append(f"python {conda_version_spec(said.requires_python)}".rstrip())
    else:
        site_packages = f"lib/python{target.python}/site-packages"
        depends += python.base_specs

    def stage(tree: Path) -> dict[str, Any]:
        scripts = wheels.unpack(wheel.path, tree, site_packages)
        if not wheel.is_pure:
            wheels.write_launchers(tree / "bin", scripts)
            _adopt_all(tree, materials)
        account = {"sources": [{"file": wheel.path.name, "sha256": wheel.sha256}]}
        return {
            "entry_points": scripts if wheel.is_pure else (),
            "timestamp": wheel.timestamp(),
            "info": {**wheel.licenses(), _ACCOUNT: _text(account)},
        }

    package = Package(
        name=conda_name(row.project),
        version=str(wheel.offer.version),
        build="pyh{hash}_0" if wheel.is_pure else f"{python.label}h{{hash}}_0",
        number=0,
        subdir=target.subdir,
        depends=tuple(sorted(set(depends))),
        noarch="python" if wheel.is_pure else None,
        timestamp=materials.rows.timestamp,
        about={"summary": said.summary, "home": said.home, "license": said.license},
    )
    return _named(package, [asdict(row), wheel.sha256], materials, stage)


def _named(
    package: Package,
    inputs: list[object],
    materials: Materials,
    stage: Callable[[Path], Mapping[str, Any]],
) -> Planned:
    """Put the digest of all that a package is made of into its build string (decision D20)."""
    text = _text([materials.rows.format, materials.rows.patchelf, package.index(), inputs])
    digest = hashlib.sha256(text).hexdigest()[:_BUILD_HASH]
    return Planned(package=replace(package, build=package.build.format(hash=digest)), stage=stage)


def _sources(debs: Iterable[Deb], target: Target) -> list[dict[str, str]]:
    return [{"purl": deb.purl(target.suite), "sha256": deb.sha256} for deb in debs]


def _name(spec: str) -> str:
    return spec.split(" ", 1)[0]


def _text(document: object) -> bytes:
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()
