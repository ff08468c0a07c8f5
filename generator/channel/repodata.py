"""Reads a subdir's repodata.json, a record at a time, and puts records in and out of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from rattler import MatchSpec, PackageRecord, Version
from rattler.exceptions import InvalidMatchSpecError, InvalidVersionError

from generator.documents import limits, load_json, read_bytes, split_json
from generator.errors import IntegrityError, MalformedError
from generator.model.names import ShownText
from generator.rattler_names import BuildString

REPODATA: Final = "repodata.json"
#: the same before patches; there from the first patch on (conda-index's name)
UNPATCHED: Final = "repodata_from_packages.json"
#: where repodata.json keeps .conda files (CEP 36)
PACKAGES: Final = "packages.conda"
#: the field with the digest of a package's sidecar, and what its name ends in (CEP 50)
ATTESTED: Final = "attestations_sha256"
SIGS: Final = ".sigs"
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
    #: of its sidecar with attestations (CEP 50)
    attestations_sha256: Annotated[str, _text(r"[0-9a-f]{64}")] | None = None
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

        Raises IntegrityError: what it says is no match spec.
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


_NULL, _NONE = msgspec.Raw(b"null"), msgspec.Raw(b"{}")


class Said(msgspec.Struct):
    """What a record says of its package's bytes, and of its sidecar's."""

    size: int
    sha256: str
    attestations_sha256: str | None = None


_SAID: Final = msgspec.json.Decoder(Said)


@dataclass(frozen=True, kw_only=True)
class Repodata:
    """A repodata.json whose records are the bytes that they are written in."""

    where: str
    document: dict[str, msgspec.Raw]
    rows: dict[str, msgspec.Raw]
    #: as its info says, "" where it does not
    subdir: str
    #: sha256 of the whole
    digest: str

    @classmethod
    def read(cls, path: Path) -> Repodata | None:
        """Read a file; None where there is none; IntegrityError where it is not usable."""
        try:
            content = read_bytes(path, limits().json.bytes)
        except FileNotFoundError:
            return None
        return cls.parse(content, str(path))

    @classmethod
    def parse(cls, content: bytes, where: str) -> Repodata:
        """Take a repodata.json apart; IntegrityError where it is none."""
        try:
            document = split_json(content, where)
            parts = {}
            for name in ("info", PACKAGES):
                part = document.get(name, _NULL)
                # null stands for nothing (CEP 36)
                parts[name] = {} if part == _NULL else split_json(part, f"{where}, {name}")
            subdir = load_json(bytes(parts["info"].get("subdir", b'""')), where)
        except MalformedError as error:
            raise _broken(where, f"{error.what} ({error.where})") from error
        return cls(
            where=where,
            document=document,
            rows=parts[PACKAGES],
            subdir=subdir if isinstance(subdir, str) else "",
            digest=hashlib.sha256(content).hexdigest(),
        )

    def records(self) -> Iterator[Record]:
        """Yield its records, sorted by file name, one after the other.

        Raises IntegrityError: a record lacks what every record has.
        """
        for file_name in sorted(self.rows):
            yield self.record(file_name)

    def record(self, file_name: str) -> Record:
        """Return one record; IntegrityError where it lacks what every record has."""
        try:
            row = load_json(bytes(self.rows[file_name]), self.where)
            record = as_record(row, file_name)
        except (MalformedError, ValueError) as error:
            why = error.what if isinstance(error, MalformedError) else error
            raise _broken(self.where, f"{file_name[:200]!r}: {why}") from error
        if self.subdir and record.subdir != self.subdir:
            raise _broken(self.where, f"{record.file_name} is for {record.subdir}")
        return record

    def says(self, file_name: str) -> Said:
        """Return what a package's record says of bytes; IntegrityError where it does not."""
        try:
            return _SAID.decode(self.rows[file_name])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _broken(self.where, f"{file_name[:200]!r}: {error}") from error

    def advertised(self, sidecars: Mapping[str, str]) -> dict[str, msgspec.Raw]:
        """Return the records of packages that name other sidecars (CEP 50), with these digests."""
        found = {}
        for name, digest in sidecars.items():
            if name in self.rows and self.says(name).attestations_sha256 != digest:
                row = load_json(bytes(self.rows[name]), self.where) | {ATTESTED: digest}
                found[name] = msgspec.Raw(msgspec.json.encode(dict(sorted(row.items()))))
        return found

    @property
    def removed(self) -> list[str]:
        """The packages that it says are removed, which their records do not show."""
        found = load_json(bytes(self.document.get("removed", b"null")), self.where)
        if not isinstance(found, list | None) or not all(isinstance(x, str) for x in found or ()):
            raise _broken(self.where, "removed is not a list of file names")
        return found or []

    @property
    def others(self) -> list[str]:
        """Where it has records that are not read: of .tar.bz2 files, or of revision 3 (CEP 36)."""
        said = {x: bytes(self.document.get(x, _NONE)) for x in ("packages", "v3")}
        return [name for name, text in said.items() if text.strip(b"{} \t\r\n")]

    def edited(self, gone: Collection[str], new: dict[str, msgspec.Raw]) -> bytes:
        """Return it without the records of some packages, and with new ones."""
        rows = {name: row for name, row in self.rows.items() if name not in gone} | new
        ordered = {name: rows[name] for name in in_order(rows)}
        return msgspec.json.encode(self.document | {PACKAGES: ordered})


def as_record(row: object, file_name: str) -> Record:
    """Return what a row of a repodata.json, or an index.json, says; ValueError where it is none."""
    if not isinstance(row, dict):
        msg = "not an object"
        raise ValueError(msg)  # noqa: TRY004 - of who wrote it, not of who calls
    known = {key: value for key, value in row.items() if value is not None}
    try:
        return _READER.validate_python(known | {"file_name": file_name})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ValueError(f"{key}: {first['msg']}") from error


def in_order(names: Iterable[str]) -> list[str]:
    """Sort packages as rattler does: by name, version and build as text."""
    # one text sorts as the three do, and takes a third of their room
    return sorted(names, key=lambda each: "\0".join(parts_of(each)))


def parts_of(file_name: str) -> list[str]:
    """Return name, version and build of a package by its file name."""
    return file_name.removesuffix(".conda").rsplit("-", 2)


#: one record
_READER: Final = TypeAdapter(Record)


def _broken(where: str, why: object) -> IntegrityError:
    return IntegrityError(
        f"the repodata is not usable: {why}",
        where=where,
        next_step=_ANEW,
    )
