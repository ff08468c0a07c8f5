"""Reads a subdir's repodata.json, and takes records out of it that are no longer true."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rattler import BuildString, MatchSpec, PackageRecord

from generator.atomic import write_bytes
from generator.errors import IntegrityError

REPODATA: Final = "repodata.json"
#: the same before patches; there from the first patch on (conda-index's name)
UNPATCHED: Final = "repodata_from_packages.json"
#: where repodata.json keeps .conda files (CEP 36)
_PACKAGES: Final = "packages.conda"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One package as the repodata has it."""

    file_name: str
    name: str
    version: str
    build: str
    build_number: int
    subdir: str
    size: int
    sha256: str
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    #: milliseconds since 1970
    timestamp: int = 0
    license: str = ""

    @property
    def key(self) -> str:
        """``<subdir>/<file name>``: its place in a channel."""
        return f"{self.subdir}/{self.file_name}"

    def fits(self, spec: MatchSpec) -> bool:
        """Whether a match spec takes this package."""
        return spec.matches(
            PackageRecord(
                name=self.name,
                version=self.version,
                build=BuildString(self.build),
                build_number=self.build_number,
                subdir=self.subdir,
                arch=None,
                platform=None,
            )
        )


def read_records(path: Path) -> tuple[Record, ...]:
    """Read the records of a repodata.json, sorted by file name; () when it does not exist.

    Raises:
        IntegrityError: not parsable, or a record lacks what every record has.

    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    return parse_records(content, str(path))


def parse_records(content: bytes, where: str) -> tuple[Record, ...]:
    """Return the records of a repodata.json, sorted by file name.

    Raises:
        IntegrityError: not parsable, or a record lacks what every record has.

    """
    rows = _parse(content, where).get(_PACKAGES, {})
    try:
        return tuple(_record(name, rows[name]) for name in sorted(rows))
    except (KeyError, TypeError) as error:
        raise _broken(where, error) from error


def without_records(content: bytes, names: set[str], where: str) -> bytes:
    """Return a repodata.json without the packages of these file names."""
    repodata = _parse(content, where)
    rows = repodata.get(_PACKAGES, {})
    repodata[_PACKAGES] = {name: row for name, row in rows.items() if name not in names}
    return json.dumps(repodata, separators=(",", ":")).encode()


def drop_records(path: Path, names: set[str]) -> None:
    """Take ``names`` out of a repodata.json, if there is one, so that they are indexed anew."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    if names & {record.file_name for record in parse_records(content, str(path))}:
        write_bytes(path, without_records(content, names, str(path)))


def _parse(content: bytes, where: str) -> dict[str, Any]:
    try:
        loaded = json.loads(content)
    except ValueError as error:
        raise _broken(where, error) from error
    if not isinstance(loaded, dict):
        raise _broken(where, "not a JSON object")
    return loaded


def _record(file_name: str, row: dict[str, Any]) -> Record:
    return Record(
        file_name=file_name,
        name=row["name"],
        version=row["version"],
        build=row["build"],
        build_number=row["build_number"],
        subdir=row["subdir"],
        size=row["size"],
        sha256=row["sha256"],
        depends=tuple(row.get("depends", ())),
        constrains=tuple(row.get("constrains", ())),
        timestamp=row.get("timestamp", 0),
        license=row.get("license") or "",
    )


def _broken(where: str, why: object) -> IntegrityError:
    return IntegrityError(
        f"the repodata is not usable: {why}",
        where=where,
        next_step="delete it and run `armtorch build` again, which indexes the channel",
    )
