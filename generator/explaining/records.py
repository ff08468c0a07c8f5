"""Small questions about records: their Pythons, their order, what they ask of the machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from rattler import MatchSpec, RepoDataRecord

from generator.model.accelerator import accelerator_of as of_build
from generator.model.python_build import PythonBuild

_RANGE: Final = re.compile(r"^python >=(?P<minor>3\.\d+)(?:\.[\w.]+)?,<3\.\d+\S*(?: \S+)?$")
_BUILD: Final = re.compile(r"^(?:.*_)?py3\.?(?P<minor>\d{1,2})(?=[_h]|$)")


def newest_first(records: Iterable[RepoDataRecord]) -> list[RepoDataRecord]:
    """Sort by version, then build number."""
    return sorted(records, key=lambda r: (r.version, r.build_number), reverse=True)


def versions(records: Iterable[RepoDataRecord]) -> tuple[str, ...]:
    """Return each version once, newest first."""
    return tuple(dict.fromkeys(str(record.version) for record in newest_first(records)))


def builds(records: Iterable[RepoDataRecord]) -> tuple[str, ...]:
    """Return each kind of build once, newest first: ``cuda130_generic_py312_*``."""
    kinds = (re.sub(r"_?h[0-9a-f]{7}_?\d*$", "_*", str(r.build)) for r in newest_first(records))
    return tuple(dict.fromkeys(re.sub(r"_?py3\.?\d+t?(?=_|$)", "", kind) for kind in kinds))


def python_of(record: RepoDataRecord) -> str:
    """Return the one Python a record is built for, ``3.12`` or ``3.14t``; "" for any or none."""
    if (found := PythonBuild.of_depends(record.depends)) is not None:
        return str(found)
    for depends in record.depends:
        if match := _RANGE.match(depends):
            return match["minor"]
    match = _BUILD.match(str(record.build))
    return f"3.{match['minor']}" if match else ""


def pythons(records: Iterable[RepoDataRecord]) -> tuple[str, ...]:
    """Return the Pythons that records are built for, oldest first."""
    found = {python_of(record) for record in records} - {""}
    return tuple(sorted(found, key=lambda text: (int(text.split(".")[1].rstrip("t")), text)))


def minor_of(python: str) -> int:
    """Return N of a Python 3.N, as a version or as a spec; 0 where none is named."""
    match = re.search(r"\b3\.(\d+)", python)
    return int(match[1]) if match else 0


def text_of(record: RepoDataRecord) -> str:
    """Return a record as a spec that only it fits: name, version and build."""
    return f"{record.name.normalized} {record.version} {record.build}"


def virtual_specs(record: RepoDataRecord) -> list[str]:
    """Return what a record asks of the machine (CEP 30)."""
    return [depends for depends in record.depends if depends.startswith("__")]


def matching(records: Iterable[RepoDataRecord], spec: MatchSpec) -> list[RepoDataRecord]:
    """Return the records that a spec admits, whatever channel it names."""
    name, version, build = str(spec.name.normalized), spec.version or "*", spec.build
    number = f"[build_number='{spec.build_number}']" if spec.build_number else ""
    plain = MatchSpec(f"{name} {version} {build}" if build else f"{name} {version}{number}")
    return [record for record in records if plain.matches(record)]


def accelerator_of(record: RepoDataRecord) -> str:
    """Return the accelerator of a record as cells call it: ``cpu``, ``cuda130``, ``...-tegra``."""
    return of_build(str(record.build), record.depends)
