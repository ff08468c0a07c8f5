"""Reads a wheel without trusting it: the member list is checked before anything is unpacked.

A member whose path leaves the archive, a link, a repeated name, a size that grows beyond reason,
or a byte that RECORD does not promise ends the build. Standard library only; part of
the unpacker, so that it lies beside build.py in recipes/_unpack, too.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO, NoReturn

CHUNK = 1 << 20
#: members of a wheel and bytes of its directory; torch has 20 000 and 3 MiB
MAXIMUM_MEMBERS = 200_000
MAXIMUM_DIRECTORY = 64 << 20
#: bytes of a member that is read whole (RECORD, METADATA, texts, libc10.so of 2 MB)
MAXIMUM_WHOLE = 64 << 20
#: the other methods of zipfile unpack a whole block at once, however large it becomes
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
UTC = timezone.utc  # noqa: UP017 - python 3.9 runs this too
#: RECORD's way to write a sha256: urlsafe base64 of 32 bytes without padding
_DIGEST = re.compile(r"sha256=[A-Za-z0-9_-]{43}")
#: characters, ends and device names
_NOT_ON_WINDOWS = re.compile(
    r'[<>:"|?*%^&!]|[. ](?:/|$)|/(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:[./]|$)', re.IGNORECASE
)


class RefusedError(Exception):
    """The wheel is not what the recipe says, or is not safe to unpack."""


def refuse(what: str, next_step: str) -> NoReturn:
    """Stop the build; nothing is guessed about a wheel that is not as expected."""
    message = f"{what}\n  next: {next_step}"
    raise RefusedError(message)


#: what zipfile raises on bytes that are no sound archive
UNREADABLE = (
    zipfile.BadZipFile,
    OSError,
    UnicodeDecodeError,
    NotImplementedError,
    ValueError,
    struct.error,
    zlib.error,
    EOFError,
    RuntimeError,
    OverflowError,
)


def check_directory(file: BinaryIO, members: int, size: int) -> None:
    """Raise BadZipFile when a zip's directory has more members or bytes than it may.

    zipfile reads a directory whole, and makes ten times its size of it in memory. Layout of the
    end records: APPNOTE.TXT 4.3.14 to 4.3.16.
    """
    end = file.seek(0, 2)
    start = max(0, end - (1 << 16) - 22 - 20)
    file.seek(start)
    tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or place + 22 > len(tail):
        raise zipfile.BadZipFile("it has no end record")
    count, length = struct.unpack_from("<HI", tail, place + 10)
    if tail[max(0, place - 20) : place].startswith(b"PK\6\7"):
        (record,) = struct.unpack_from("<Q", tail, place - 20 + 8)
        if record + 56 > end:
            raise zipfile.BadZipFile("its zip64 end record lies outside")
        file.seek(record)
        count, length = struct.unpack_from("<QQ", file.read(56), 32)
    if count > members or length > size:
        raise zipfile.BadZipFile(
            f"its directory has {count} members and {length} bytes, more than {members} and {size}"
        )


class Wheel:
    """A wheel whose member list was checked; members are verified while they are read."""

    def __init__(self, path: Path, unpacked_ratio: float) -> None:
        try:
            with path.open("rb") as file:
                check_directory(file, MAXIMUM_MEMBERS, MAXIMUM_DIRECTORY)
            self.archive = zipfile.ZipFile(path)
        except UNREADABLE as error:
            refuse(f"{path.name} is not a readable zip archive: {error}", "fetch the wheel again")
        self.name = path.name
        self.members: dict[str, zipfile.ZipInfo] = {}
        for info in self.archive.infolist():
            self._admit(info)
        self._check_tree()
        declared = sum(info.file_size for info in self.members.values())
        if declared > unpacked_ratio * path.stat().st_size:
            refuse(
                f"{path.name} declares {declared} bytes unpacked, more than {unpacked_ratio:g} "
                "times its size",
                "if the wheel is honest, raise maximum_unpacked_ratio",
            )
        self.dist_info = self._dist_info()
        self.record_bytes = self._whole(
            f"{self.dist_info}/RECORD", self._chunks(f"{self.dist_info}/RECORD")
        )
        self.record = self._record()

    def _admit(self, info: zipfile.ZipInfo) -> None:
        name = info.filename
        parts = name.rstrip("/").split("/")
        # orig_filename: zipfile itself cuts at NUL and turns backslashes on Windows
        if (
            any(part in {"", ".", ".."} for part in parts)
            or "\\" in info.orig_filename
            or ":" in parts[0]
            or any(ord(letter) < 32 for letter in info.orig_filename)
        ):
            refuse(
                f"{self.name}: member {info.orig_filename!r} has an unsafe path",
                "do not use this wheel; tell upstream",
            )
        if stat.S_ISLNK(info.external_attr >> 16):
            refuse(
                f"{self.name}: member {name!r} is a symbolic link, which wheels cannot have",
                "do not use this wheel; tell upstream",
            )
        if info.compress_type not in METHODS:
            refuse(
                f"{self.name}: member {name!r} is packed by method {info.compress_type}, and "
                "wheels are stored or deflated",
                "do not use this wheel; tell upstream",
            )
        if info.flag_bits & 0x1:
            refuse(f"{self.name}: member {name!r} is encrypted", "do not use this wheel")
        if name.endswith("/"):
            return
        if name in self.members:
            refuse(
                f"{self.name}: two members are named {name!r}",
                "do not use this wheel; tell upstream",
            )
        self.members[name] = info

    def _check_tree(self) -> None:
        folders = {parent for name in self.members for parent in parents(name)}
        if clash := sorted(folders & self.members.keys()):
            refuse(
                f"{self.name}: {clash[0]!r} is both a file and a folder",
                "do not use this wheel; tell upstream",
            )

    def _dist_info(self) -> str:
        found = {
            name.split("/")[0]
            for name in self.members
            if name.endswith(".dist-info/RECORD") and name.count("/") == 1
        }
        if len(found) != 1:
            refuse(f"{self.name} has {len(found)} RECORD files, not one", "fetch the wheel again")
        return found.pop()

    def _record(self) -> dict[str, tuple[str, int]]:
        """Read RECORD as member -> (urlsafe base64 sha256, bytes); it must list every member."""
        own = f"{self.dist_info}/RECORD"
        rows: dict[str, tuple[str, int]] = {}
        for row in self._table():
            if len(row) != 3:
                refuse(
                    f"{self.name}: RECORD has a row of {len(row)} fields: {row!r}",
                    "do not use this wheel; tell upstream",
                )
            path, digest, size = row
            if path == own:
                continue
            if path in rows or not _DIGEST.fullmatch(digest) or not size.isdecimal():
                refuse(
                    f"{self.name}: RECORD row {row!r} is a repeat, or has no sha256 or size",
                    "do not use this wheel; tell upstream",
                )
            rows[path] = (digest.removeprefix("sha256="), int(size))
        if odd := sorted(rows.keys() ^ (self.members.keys() - {own})):
            refuse(
                f"{self.name}: RECORD and the members differ in {odd[:3]}",
                "do not use this wheel; tell upstream",
            )
        return rows

    def _table(self) -> Iterator[list[str]]:
        try:
            yield from csv.reader(io.StringIO(self.record_bytes.decode("utf-8"), newline=""))
        except (UnicodeDecodeError, csv.Error) as error:
            refuse(f"{self.name}: RECORD is no table: {error}", "fetch the wheel again")

    def _whole(self, member: str, chunks: Iterator[bytes]) -> bytes:
        if (size := self.members[member].file_size) > MAXIMUM_WHOLE:
            refuse(
                f"{self.name}: {member} has {size} bytes, more than {MAXIMUM_WHOLE} for a text",
                "do not use this wheel; tell upstream",
            )
        return b"".join(chunks)

    def stream(self, member: str) -> Iterator[bytes]:
        """Yield a member's bytes; refuse at the end when they are not what RECORD says."""
        digest, size = self.record[member]
        if self.members[member].file_size != size:
            refuse(
                f"{self.name}: {member} has {self.members[member].file_size} bytes, "
                f"RECORD says {size}",
                "fetch the wheel again",
            )
        seen = hashlib.sha256()
        for chunk in self._chunks(member):
            seen.update(chunk)
            yield chunk
        if encode(seen.digest()) != digest:
            refuse(
                f"{self.name}: {member} does not have the sha256 of RECORD",
                "fetch the wheel again; if it stays so, tell upstream",
            )

    def _chunks(self, member: str) -> Iterator[bytes]:
        """Yield a member's bytes as the archive has them; zipfile ends at the declared size."""
        try:
            with self.archive.open(self.members[member]) as source:
                while chunk := source.read(CHUNK):
                    yield chunk
        except UNREADABLE as error:
            refuse(f"{self.name}: {member} does not unpack: {error}", "fetch the wheel again")

    def read(self, member: str) -> bytes:
        """Return a member whole; for texts and small libraries only."""
        return self._whole(member, self.stream(member))

    def text(self, member: str) -> str:
        """Return a text member, which has to be UTF-8."""
        try:
            return self.read(member).decode("utf-8")
        except UnicodeDecodeError as error:
            refuse(f"{self.name}: {member} is not UTF-8: {error}", "tell upstream")


def check_names(wheel: Wheel, target: str) -> None:
    """Refuse what the target's file system, or a batch file on Windows, cannot name.

    Windows and macOS do not tell upper from lower case. Windows' names: "Naming Files, Paths, and
    Namespaces" (learn.microsoft.com); % ^ & ! are what cmd.exe reads in a name.
    """
    if target.startswith("linux-"):
        return
    seen: dict[str, str] = {}
    for name in wheel.members:
        for path in [*parents(name), name]:
            if (other := seen.setdefault(path.lower(), path)) != path:
                refuse(
                    f"{wheel.name}: {other!r} and {path!r} are one file on {target}",
                    "do not use this wheel; tell upstream",
                )
        if target.startswith("win-") and _NOT_ON_WINDOWS.search(f"/{name}"):
            refuse(
                f"{wheel.name}: member {name!r} has a name that Windows cannot have, or a batch "
                "file cannot write",
                "do not use this wheel; tell upstream",
            )


def parents(name: str) -> list[str]:
    """Return every folder above a member, outermost first."""
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def encode(digest: bytes) -> str:
    """Return a digest as RECORD writes it: urlsafe base64 without padding."""
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def decode(digest: str) -> str:
    """Return RECORD's base64 digest in hexadecimal."""
    return base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)).hex()


def member_time(info: zipfile.ZipInfo) -> float:
    """Return the member's time stamp read as UTC, whatever zone this machine is in.

    Some archivers write month 0 where they know no time; that becomes zip's earliest time.
    """
    year, month, day, hour, minute, second = info.date_time
    try:
        stamp = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        stamp = datetime(1980, 1, 1, tzinfo=UTC)
    return stamp.timestamp()


def pattern(glob: str) -> re.Pattern[str]:
    """Compile a layout pattern: ``*`` stays inside one folder, ``**`` does not."""
    parts = [
        ".*" if part == "**" else "[^/]*" if part == "*" else re.escape(part)
        for part in re.split(r"(\*\*|\*)", glob)
    ]
    return re.compile("".join(parts))
