"""Reads a subdir's repodata.json, and takes records out of it that are no longer true."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from generator.atomic import write_text
from generator.errors import IntegrityError

REPODATA: Final = "repodata.json"
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


def read_records(path: Path) -> tuple[Record, ...]:
    """Read the records of a repodata.json, sorted by file name; () when it does not exist.

    Raises:
        IntegrityError: not parsable, or a record lacks what every record has.

    """
    try:
        rows = _load(path).get(_PACKAGES, {})
        return tuple(_record(name, rows[name]) for name in sorted(rows))
    except FileNotFoundError:
        return ()
    except (KeyError, TypeError) as error:
        raise _broken(path, error) from error


def drop_records(path: Path, names: set[str]) -> None:
    """Take ``names`` out of a repodata.json, if there is one, so that they are indexed anew."""
    try:
        repodata = _load(path)
    except FileNotFoundError:
        return
    rows = repodata.get(_PACKAGES, {})
    if not names & rows.keys():
        return
    repodata[_PACKAGES] = {name: row for name, row in rows.items() if name not in names}
    write_text(path, json.dumps(repodata, separators=(",", ":")))


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _broken(path, error) from error
    if not isinstance(loaded, dict):
        raise _broken(path, "not a JSON object")
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
    )


def _broken(path: Path, why: object) -> IntegrityError:
    return IntegrityError(
        f"the repodata is not usable: {why}",
        where=str(path),
        next_step="delete it and run `armtorch build` again, which indexes the channel",
    )
