"""Reads a wheel without trusting it: the member list is checked before anything is unpacked.

A member whose path leaves the archive, a link, a repeated name, a size that grows beyond reason,
or a byte that RECORD does not promise ends the build. Standard library only; stands beside
build.py in every recipe.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import NoReturn

CHUNK = 1 << 20
UTC = timezone.utc  # noqa: UP017 - python 3.9 runs this too
#: RECORD's way to write a sha256: urlsafe base64 of 32 bytes without padding
_DIGEST = re.compile(r"sha256=[A-Za-z0-9_-]{43}")


class RefusedError(Exception):
    """The wheel is not what the recipe says, or is not safe to unpack."""


def refuse(what: str, next_step: str) -> NoReturn:
    """Stop the build; nothing is guessed about a wheel that is not as expected."""
    message = f"{what}\n  next: {next_step}"
    raise RefusedError(message)


class Wheel:
    """A wheel whose member list was checked; members are verified while they are read."""

    def __init__(self, path: Path, unpacked_ratio: float) -> None:
        try:
            self.archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, UnicodeDecodeError, NotImplementedError) as error:
            refuse(f"{path.name} is not a readable zip archive: {error}", "fetch the wheel again")
        self.name = path.name
        self.members: dict[str, zipfile.ZipInfo] = {}
        for info in self.archive.infolist():
            self._admit(info)
        self._check_tree()
        declared = sum(info.file_size for info in self.members.values())
        if declared > unpacked_ratio * path.stat().st_size:
            refuse(f"{path.name} declares {declared} bytes unpacked, more than {unpacked_ratio:g} "
                   "times its size", "if the wheel is honest, raise maximum_unpacked_ratio")
        self.dist_info = self._dist_info()
        self.record_bytes = b"".join(self._chunks(f"{self.dist_info}/RECORD"))
        self.record = self._record()

    def _admit(self, info: zipfile.ZipInfo) -> None:
        name = info.filename
        parts = name.rstrip("/").split("/")
        # orig_filename: zipfile itself cuts at NUL and turns backslashes on Windows
        if (any(part in {"", ".", ".."} for part in parts) or "\\" in info.orig_filename
                or ":" in parts[0] or any(ord(letter) < 32 for letter in info.orig_filename)):
            refuse(f"{self.name}: member {info.orig_filename!r} has an unsafe path",
                   "do not use this wheel; tell upstream")
        if stat.S_ISLNK(info.external_attr >> 16):
            refuse(f"{self.name}: member {name!r} is a symbolic link, which wheels cannot have",
                   "do not use this wheel; tell upstream")
        if info.flag_bits & 0x1:
            refuse(f"{self.name}: member {name!r} is encrypted", "do not use this wheel")
        if name.endswith("/"):
            return
        if name in self.members:
            refuse(f"{self.name}: two members are named {name!r}",
                   "do not use this wheel; tell upstream")
        self.members[name] = info

    def _check_tree(self) -> None:
        folders = {parent for name in self.members for parent in parents(name)}
        if clash := sorted(folders & self.members.keys()):
            refuse(f"{self.name}: {clash[0]!r} is both a file and a folder",
                   "do not use this wheel; tell upstream")

    def _dist_info(self) -> str:
        found = {name.split("/")[0] for name in self.members if name.endswith(".dist-info/RECORD")
                 and name.count("/") == 1}
        if len(found) != 1:
            refuse(f"{self.name} has {len(found)} RECORD files, not one", "fetch the wheel again")
        return found.pop()

    def _record(self) -> dict[str, tuple[str, int]]:
        """Read RECORD as member -> (urlsafe base64 sha256, bytes); it must list every member."""
        own = f"{self.dist_info}/RECORD"
        rows: dict[str, tuple[str, int]] = {}
        try:
            table = list(csv.reader(io.StringIO(self.record_bytes.decode("utf-8"))))
        except (UnicodeDecodeError, csv.Error) as error:
            refuse(f"{self.name}: RECORD is no table: {error}", "fetch the wheel again")
        for row in table:
            if len(row) != 3:
                refuse(f"{self.name}: RECORD has a row of {len(row)} fields: {row!r}",
                       "do not use this wheel; tell upstream")
            path, digest, size = row
            if path == own:
                continue
            if path in rows or not _DIGEST.fullmatch(digest) or not size.isdecimal():
                refuse(f"{self.name}: RECORD row {row!r} is a repeat, or has no sha256 or size",
                       "do not use this wheel; tell upstream")
            rows[path] = (digest.removeprefix("sha256="), int(size))
        if odd := sorted(rows.keys() ^ (self.members.keys() - {own})):
            refuse(f"{self.name}: RECORD and the members differ in {odd[:3]}",
                   "do not use this wheel; tell upstream")
        return rows

    def stream(self, member: str) -> Iterator[bytes]:
        """Yield a member's bytes; refuse at the end when they are not what RECORD says."""
        digest, size = self.record[member]
        if self.members[member].file_size != size:
            refuse(f"{self.name}: {member} has {self.members[member].file_size} bytes, "
                   f"RECORD says {size}", "fetch the wheel again")
        seen = hashlib.sha256()
        for chunk in self._chunks(member):
            seen.update(chunk)
            yield chunk
        if encode(seen.digest()) != digest:
            refuse(f"{self.name}: {member} does not have the sha256 of RECORD",
                   "fetch the wheel again; if it stays so, tell upstream")

    def _chunks(self, member: str) -> Iterator[bytes]:
        """Yield a member's bytes as the archive has them; zipfile ends at the declared size."""
        try:
            with self.archive.open(self.members[member]) as source:
                while chunk := source.read(CHUNK):
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            refuse(f"{self.name}: {member} does not unpack: {error}", "fetch the wheel again")

    def read(self, member: str) -> bytes:
        """Return a member whole; for texts and small libraries only."""
        return b"".join(self.stream(member))

    def text(self, member: str) -> str:
        """Return a text member, which has to be UTF-8."""
        try:
            return self.read(member).decode("utf-8")
        except UnicodeDecodeError as error:
            refuse(f"{self.name}: {member} is not UTF-8: {error}", "tell upstream")


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
    parts = [".*" if part == "**" else "[^/]*" if part == "*" else re.escape(part)
             for part in re.split(r"(\*\*|\*)", glob)]
    return re.compile("".join(parts))
