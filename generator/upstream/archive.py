"""What makes a wheel's archive safe to unpack, judged from its directory and RECORD alone.

The rules: the wheel specification (PEP 427 and packaging.python.org, "Recording installed
projects"), and what zip files have been abused for: paths that leave the folder, links, two
members of one name, overlapping members, and sizes that fill a disk.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import re
import stat
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType

from generator.errors import IntegrityError, MalformedError, UnsafeArchiveError
from generator.model.names import bad_path

#: signatures of RECORD are not listed in it (PEP 427)
_UNLISTED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_DRIVE = re.compile(r"[A-Za-z]:")
#: names and rows that are looked at once: a release's wheels have most of their 12,000 in common
_ALIKE = 1 << 15
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Member:
    """One row of RECORD that the archive's directory agrees with."""

    #: hex
    sha256: str
    #: bytes unpacked
    size: int


def newest(infos: Iterable[zipfile.ZipInfo]) -> int:
    """Return the milliseconds since 1970 of the newest member, read as UTC.

    A package's time is then a property of its input. A date that is none (month 0) is skipped.
    """
    found = 0
    for date in {info.date_time for info in infos}:
        with suppress(ValueError):
            found = max(found, int(datetime(*date, tzinfo=UTC).timestamp()) * 1000)
    return found


def check_directory(
    infos: Iterable[zipfile.ZipInfo], *, archive_size: int, ratio: float, where: str
) -> None:
    """Check names, kinds, overlaps and declared sizes of every member.

    Raises UnsafeArchiveError: a member would leave the folder, is a link, occurs twice, overlaps
    another, or all of them unpack to more than ``ratio`` times the archive's size.
    """
    seen: set[str] = set()
    total, end = 0, 0
    for info in sorted(infos, key=lambda each: each.header_offset):
        name = info.orig_filename
        if (why := unsafe_name(name)) is not None:
            raise _unsafe(f"member {name!r} {why}", where)
        if name in seen:
            raise _unsafe(f"member {name!r} occurs twice", where)
        seen.add(name)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise _unsafe(f"member {name!r} is a symbolic link", where)
        if info.header_offset < end:
            raise _unsafe(f"member {name!r} overlaps the one before it", where)
        end = info.header_offset + info.compress_size
        total += info.file_size
    if total > ratio * archive_size:
        raise _unsafe(
            f"it declares {total:,} bytes unpacked, {total / archive_size:.0f} times its "
            f"size; policies.maximum_unpacked_ratio allows {ratio:g}",
            where,
        )


@lru_cache(maxsize=_ALIKE)
def unsafe_name(name: str) -> str | None:
    """Say why a member name must not be unpacked; None when it may."""
    if not name or name.startswith("/"):
        return "is absolute or empty"
    if _DRIVE.match(name):
        return "names a drive"
    if "\\" in name or _CONTROL.search(name):
        return "has a backslash or a control character"
    if any(part in {"", ".", ".."} for part in name.removesuffix("/").split("/")):
        return "leaves the archive's folder or is not in its plainest form"
    return bad_path(name.removesuffix("/"))


@lru_cache(maxsize=16)  # a release's wheels are looked at by turns
def parse_record(text: bytes, where: str) -> Mapping[str, Member]:
    """Read RECORD into path -> member, without the rows that have no hash.

    Raises MalformedError: it is not CSV of path, hash and size, names a file twice, or uses another
    hash than sha256.
    """
    rows: dict[str, Member | None] = {}
    try:
        for row in csv.reader(io.StringIO(text.decode("utf-8"), newline=""), strict=True):
            if not row:
                continue
            path, digest, size = row
            if path in rows:
                raise _bad_record(f"names {path!r} twice", where)
            rows[path] = _member(digest, size) if digest else None
    except (ValueError, csv.Error, binascii.Error) as error:
        raise _bad_record(f"cannot be read: {error}", where) from error
    return MappingProxyType({path: member for path, member in rows.items() if member is not None})


def check_record(
    vouched: Mapping[str, Member], infos: Iterable[zipfile.ZipInfo], dist_info: str, where: str
) -> None:
    """Hold what RECORD vouches for against the archive's directory.

    Raises IntegrityError: a file is in one and not in the other, has another size, or no hash.
    """
    unlisted = {f"{dist_info}/{name}" for name in _UNLISTED}
    sizes = {info.filename: info.file_size for info in infos if not info.is_dir()}
    findings = [
        *(
            f"{path} is in the archive and has no hash in RECORD"
            for path in sizes
            if path not in vouched and path not in unlisted
        ),
        *(f"{path} is in RECORD and not in the archive" for path in vouched if path not in sizes),
        *(
            f"{path} has {sizes[path]:,} bytes in the archive and {member.size:,} in RECORD"
            for path, member in vouched.items()
            if path in sizes and sizes[path] != member.size
        ),
    ]
    if findings:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise IntegrityError(
            f"RECORD does not fit the archive: {findings[0]}{more}",
            where=where,
            next_step="do not use this file; report it upstream",
        )


@lru_cache(maxsize=_ALIKE)
def _member(digest: str, size: str) -> Member:
    algorithm, _, value = digest.partition("=")
    if algorithm != "sha256":
        raise ValueError(f"a hash by {algorithm!r}, armtorch reads sha256")
    raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    if len(raw) != 32:
        raise ValueError("a sha256 of the wrong length")
    if not re.fullmatch("[0-9]{1,15}", size):
        raise ValueError(f"a size of {size[:40]!r}")
    return Member(raw.hex(), int(size))


def _unsafe(what: str, where: str) -> UnsafeArchiveError:
    return UnsafeArchiveError(
        what, where=where, next_step="do not use this file; report it upstream"
    )


def _bad_record(what: str, where: str) -> MalformedError:
    return MalformedError(f"RECORD {what}", where=where, next_step="report it upstream")


def check_wheel_file(text: bytes, where: str) -> None:
    """Refuse a wheel of a major version that this reader does not know (PEP 427).

    Raises MalformedError: it is of another, or does not say so.
    """
    for line in text.decode("utf-8", "replace").splitlines():
        key, _, value = line.partition(":")
        if key == "Wheel-Version" and value.strip().split(".")[0] == "1":
            return
    raise MalformedError(
        "WHEEL does not say Wheel-Version 1.x",
        where=where,
        next_step="update armtorch, or report it upstream",
    )
