"""Reads a subdir's repodata.json, and takes records out of it that are no longer true."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from rattler import BuildString, MatchSpec, PackageRecord, Version
from rattler.exceptions import InvalidMatchSpecError, InvalidVersionError

from generator.atomic import write_bytes
from generator.documents import limits, load_json, read_bytes
from generator.errors import IntegrityError, MalformedError
from generator.model.names import ShownText

REPODATA: Final = "repodata.json"
#: the same before patches; there from the first patch on (conda-index's name)
UNPATCHED: Final = "repodata_from_packages.json"
#: where repodata.json keeps .conda files (CEP 36)
_PACKAGES: Final = "packages.conda"
_ANEW: Final = "delete it and run `armtorch build` again, which indexes the channel"
#: the last millisecond of the year 9999, after which no date can be shown
_END_OF_TIME: Final = 253_402_300_799_999
#: the name in a match spec: ``libtorch 2.*``, ``libtorch>=2``, ``channel::libtorch[build=x]``
_NAMED: Final = re.compile(r"\s*(?:[^\s\[]*::)?([A-Za-z0-9_.-]*)")


def _is_version(text: str) -> str:
    try:
        Version(text)
    except InvalidVersionError as error:
        raise ValueError(str(error)) from error
    return text


def _text(pattern: str) -> FieldInfo:
    found: FieldInfo = Field(pattern=rf"^{pattern}$")
    return found


@dataclass(frozen=True, kw_only=True)
class Record:
    """One package as the repodata has it.

    The patterns hold for what is read: from these words come paths, addresses and commands.
    """

    __pydantic_config__ = ConfigDict(extra="ignore")

    file_name: Annotated[str, _text(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]*\.conda")]
    name: Annotated[str, _text(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")]
    version: Annotated[str, _text(r"[A-Za-z0-9_.+!-]+"), AfterValidator(_is_version)]
    build: Annotated[str, _text(r"[A-Za-z0-9_.+-]*")]
    build_number: Annotated[int, Field(ge=0)]
    subdir: Annotated[str, _text(r"[a-z0-9]+(-[a-z0-9]+)?")]
    size: Annotated[int, Field(ge=0, lt=1 << 53)]
    sha256: Annotated[str, _text(r"[0-9a-f]{64}")]
    depends: tuple[ShownText, ...] = ()
    constrains: tuple[ShownText, ...] = ()
    #: milliseconds since 1970, 0 where it is not known
    timestamp: Annotated[int, Field(ge=0, le=_END_OF_TIME)] = 0
    license: ShownText = ""

    @property
    def key(self) -> str:
        """``<subdir>/<file name>``: its place in a channel."""
        return f"{self.subdir}/{self.file_name}"

    def needs(self, name: str) -> tuple[MatchSpec, ...]:
        """Return what it wants of a package of that name.

        Raises:
            IntegrityError: what it says is no match spec.

        """
        wanted = [spec for spec in self.depends if named(spec) == name]
        try:
            return tuple(MatchSpec(spec) for spec in wanted)
        except InvalidMatchSpecError as error:
            raise IntegrityError(
                f"it depends on {', '.join(wanted)}, which no solver understands: {error}",
                where=self.key,
                next_step="build it again, or mend it by a hotfix (docs/publishing.md)",
            ) from error

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


def named(spec: str) -> str:
    """Return the name of the package that a match spec is about, however it is written."""
    found = _NAMED.match(spec)
    return found[1].lower() if found is not None else ""


def read_records(path: Path) -> tuple[Record, ...]:
    """Read the records of a repodata.json, sorted by file name; () when it does not exist.

    Raises:
        IntegrityError: not parsable, or a record lacks what every record has.

    """
    try:
        content = read_bytes(path, limits().json.bytes)
    except FileNotFoundError:
        return ()
    return parse_records(content, str(path))


def parse_records(content: bytes, where: str) -> tuple[Record, ...]:
    """Return the records of a repodata.json, sorted by file name.

    Raises:
        IntegrityError: not parsable, or a record lacks what every record has.

    """
    document = _parse(content, where)
    rows = document.get(_PACKAGES) or {}
    try:
        names = sorted(rows)
        found = _READER.validate_python([_raw(name, rows[name]) for name in names])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place, *key = first["loc"]
        raise _broken(
            where, f"{names[int(place)][:200]!r}, {'.'.join(map(str, key))}: {first['msg']}"
        ) from error
    subdir = (document.get("info") or {}).get("subdir", "")
    for record in found:
        if subdir and record.subdir != subdir:
            raise _broken(where, f"{record.file_name} is for {record.subdir}")
    return found


def without_records(content: bytes, names: set[str], where: str) -> bytes:
    """Return a repodata.json without the packages of these file names."""
    repodata = _parse(content, where)
    rows = repodata.get(_PACKAGES) or {}
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
        loaded = load_json(content, where)
    except MalformedError as error:
        raise _broken(where, error.what) from error
    if not isinstance(loaded, dict) or not isinstance(loaded.get("info") or {}, dict):
        raise _broken(where, "not a JSON object, or its info is none")
    if not isinstance(rows := loaded.get(_PACKAGES) or {}, dict) or not all(
        isinstance(row, dict) for row in rows.values()
    ):
        raise _broken(where, f"{_PACKAGES} is not an object of records")
    return loaded


def _raw(file_name: str, row: dict[str, Any]) -> dict[str, Any]:
    # null stands for nothing (CEP 36)
    return {key: value for key, value in row.items() if value is not None} | {
        "file_name": file_name
    }


#: the records of one repodata.json
_READER: Final = TypeAdapter(tuple[Record, ...])


def _broken(where: str, why: object) -> IntegrityError:
    return IntegrityError(
        f"the repodata is not usable: {why}",
        where=where,
        next_step=_ANEW,
    )
