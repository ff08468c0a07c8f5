"""A channel of records without files, for solving what the forge has no real packages for.

A solver reads repodata (CEP 36) and nothing else, so records alone show whether a CUDA or a macOS
package of ours has a solution. Nothing on this channel can be installed.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML

_ROWS = Path(__file__).with_name("standins.yaml")
_TIMESTAMP = 1_780_000_000_000
Subdir = Literal["linux-aarch64", "osx-arm64", "noarch", "linux-64", "osx-64", "win-64"]
#: `ahead`: what our packages need and conda-forge was not seen with yet; `pytorch`: conda-forge's
#: own PyTorch and what is built on it
Group = Literal["ahead", "pytorch"]
#: there even when they are empty
SUBDIRS: tuple[Subdir, ...] = ("linux-aarch64", "osx-arm64", "noarch")
_PLATFORM_FLOOR = {"linux-aarch64": "__glibc >=2.17,<3.0.a0", "osx-arm64": "__osx >=11.0"}
Record = dict[str, object]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PythonRow(_Row):
    """One Python build; `tail` ends its build string."""

    version: str
    abi: str
    tail: str


class Release(_Row):
    """One version; with `pythons`, one record for each of them.

    `seen` says whether conda-forge was seen with it; `adds` are dependencies of this one only,
    `limits` are its own constraints. A release of a group is there where the group is asked for.
    """

    version: str
    seen: bool = False
    cuda: str = "0.0"
    build: str | None = None
    number: int = 0
    track_features: str = ""
    pythons: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    group: Group | None = None
    #: the day it came to the channel
    day: dt.date | None = None


class PackageRow(_Row):
    """All releases of one package."""

    name: str
    subdirs: tuple[Subdir, ...]
    releases: tuple[Release, ...]
    noarch: Literal["generic", "python"] = "generic"
    build: str | None = None
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    group: Group | None = None


class Rows(_Row):
    """All of standins.yaml."""

    pythons: dict[str, PythonRow]
    packages: tuple[PackageRow, ...]
    python_subdirs: tuple[Subdir, ...] = ("linux-aarch64", "osx-arm64")


def load(path: Path = _ROWS) -> Rows:
    """Read and validate standins.yaml."""
    return Rows.model_validate(YAML(typ="safe").load(path))


def write(
    folder: Path, rows: Rows | None = None, groups: Collection[Group] = frozenset({"ahead"})
) -> str:
    """Write the channel with the rows of some groups into a folder and return its address."""
    rows = rows or load()
    repodata: dict[str, dict[str, Record]] = {subdir: {} for subdir in SUBDIRS}
    for record in (*_python_records(rows), *_package_records(rows, {None, *groups})):
        file = f"{record['name']}-{record['version']}-{record['build']}.conda"
        digest = hashlib.sha256(f"{record['subdir']}/{file}".encode())
        record |= {"sha256": digest.hexdigest(), "md5": digest.hexdigest()[:32], "size": 1}
        repodata.setdefault(str(record["subdir"]), {})[file] = record
    for subdir, records in repodata.items():
        target = folder / subdir / "repodata.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "info": {"subdir": subdir},
            "packages": {},
            "packages.conda": dict(sorted(records.items())),
            "repodata_version": 1,
        }
        target.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return folder.resolve().as_uri()


def _record(
    subdir: Subdir,
    name: str,
    release: Release,
    build: str,
    *,
    depends: Sequence[str],
    constrains: Sequence[str],
) -> Record:
    digest = hashlib.sha256(f"{name} {release.version} {subdir} {build}".encode()).hexdigest()
    arch, platform = {"linux-aarch64": ("aarch64", "linux"), "osx-arm64": ("arm64", "osx")}.get(
        subdir, (None, None)
    )
    record: Record = {
        "name": name,
        "version": release.version,
        "build": build.replace("{hash}", digest[:7]),
        "build_number": release.number,
        "subdir": subdir,
        "arch": arch,
        "platform": platform,
        "depends": sorted(depends),
        "constrains": list(constrains),
        "timestamp": _milliseconds(release.day) if release.day else _TIMESTAMP,
    }
    if release.track_features:
        record["track_features"] = release.track_features
    return record


def _package_records(rows: Rows, groups: Collection[Group | None]) -> Iterator[Record]:
    for row in rows.packages:
        for release in row.releases:
            if row.group not in groups or release.group not in groups:
                continue
            for subdir in row.subdirs:
                for python in release.pythons or (None,):
                    yield _package_record(rows, row, release, subdir, python)


def _package_record(
    rows: Rows, row: PackageRow, release: Release, subdir: Subdir, python: str | None
) -> Record:
    major, minor = release.cuda.split(".")
    values = {
        "version": release.version,
        "cuda": release.cuda,
        "major": major,
        "minor_next": f"{major}.{int(minor) + 1}",
    }
    depends = [spec.format(**values) for spec in (*row.depends, *release.adds)]
    tag = "pyh" if row.noarch == "python" else "h"
    if python:
        build = rows.pythons[python]
        tag = f"py{build.abi[2:]}h"
        depends += _python_requirement(python, build)
    if subdir in _PLATFORM_FLOOR and not any(spec.startswith("__") for spec in depends):
        depends.append(_PLATFORM_FLOOR[subdir])
    pattern = release.build or row.build or f"{tag}{{hash}}_{release.number}"
    if python:
        pattern = pattern.replace("{python}", tag.removesuffix("h"))
        pattern = pattern.replace("{dotted}", python)
    constrains = [spec.format(**values) for spec in (*row.constrains, *release.limits)]
    record = _record(subdir, row.name, release, pattern, depends=depends, constrains=constrains)
    if subdir == "noarch":
        record["noarch"] = row.noarch
    return record


def _milliseconds(day: dt.date) -> int:
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
    return int(noon.timestamp() * 1000)


def _python_requirement(python: str, build: PythonRow) -> list[str]:
    """Bind to one Python, as conda-forge's builds do."""
    minor = int(python.removesuffix("t").split(".")[1])
    return [
        f"python >=3.{minor},<3.{minor + 1}.0a0 *_{build.tail}",
        f"python_abi 3.{minor}.* *_{build.abi}",
    ]


def _python_records(rows: Rows) -> Iterator[Record]:
    """Give the interpreters with python_abi and, from 3.13 on, the packages that choose the GIL."""
    for python, build in rows.pythons.items() if rows.python_subdirs else ():
        plain = python.removesuffix("t")
        selects_abi = build.tail != "cpython"
        for subdir in rows.python_subdirs:
            release = Release(
                version=build.version,
                number=100 if selects_abi else 0,
                track_features="py_freethreading" if python.endswith("t") else "",
            )
            abi = f"python_abi {plain}.* *_{build.abi}"
            floor = [_PLATFORM_FLOOR[subdir]] if subdir in _PLATFORM_FLOOR else []
            depends = [*floor, "libzlib >=1.3.1,<2.0a0"]
            record = _record(
                subdir,
                "python",
                release,
                f"h{{hash}}_{release.number}_{build.tail}",
                depends=[*depends, abi] if selects_abi else depends,
                constrains=[] if selects_abi else [abi],
            )
            record["python_site_packages_path"] = f"lib/python{python}/site-packages"
            yield record
        abi_release = Release(version=plain, number=8)
        python_spec = f"python {plain}.* *_{build.tail}"
        yield _noarch("python_abi", abi_release, f"8_{build.abi}", constrains=[python_spec])
        yield from _gil_records(python, build)
    # python-abi3-feedstock: what packages of the stable ABI depend on
    yield _noarch(
        "_python_abi3_support",
        Release(version="1.0", number=2),
        "h{hash}_2",
        depends=["cpython", "python-gil"],
    )


def _gil_records(python: str, build: PythonRow) -> Iterator[Record]:
    release = Release(version=build.version)
    plain = python.removesuffix("t")
    minor = int(plain.split(".")[1])
    abi = f"python_abi * *_{build.abi}"
    tag = f"py{build.abi[2:]}"
    cpython = [f"python >=3.{minor},<3.{minor + 1}.0a0", abi]
    yield _noarch("cpython", release, f"{tag}h{{hash}}_0", depends=cpython)
    name = "python-freethreading" if python.endswith("t") else "python-gil"
    chosen = [f"cpython {build.version}.*", abi]
    yield _noarch(name, release, "h{hash}_0", depends=chosen)


def _noarch(
    name: str,
    release: Release,
    build: str,
    *,
    depends: Sequence[str] = (),
    constrains: Sequence[str] = (),
) -> Record:
    record = _record("noarch", name, release, build, depends=depends, constrains=constrains)
    return {**record, "noarch": "generic"}
