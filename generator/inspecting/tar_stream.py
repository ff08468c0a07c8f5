"""Reads a tar as a forward-only stream, strictly and within limits; nothing is written anywhere.

Python's tarfile reads a long name of any declared length into memory and follows sparse maps, so
it is not for archives of unknown origin. Layout of the headers: POSIX.1-2017 pax, "ustar
Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format" (types L and K).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from generator.errors import MalformedError, UnsafeArchiveError
from generator.inspecting.limits import Limits

BLOCK: Final = 512
CHUNK: Final = 1 << 20
_NEXT: Final = "do not install this package; get it again from a channel you trust"
_KINDS: Final[dict[bytes, Literal["file", "link", "folder"]]] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"2": "link",
    b"5": "folder",
}
_REFUSED: Final = {
    b"1": "a hard link to another entry",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"S": "a sparse file",
}
_RECORD: Final = re.compile(rb"(\d{1,9}) ([^=\n]+)=")
_OCTAL: Final = re.compile(rb"[0-7]*")
_DRIVE: Final = re.compile(r"[A-Za-z]:")


class Source(Protocol):
    """What a tar is read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""


@dataclass(frozen=True, kw_only=True)
class TarEntry:
    """One entry; its path is relative, without dots, and of UTF-8."""

    path: str
    kind: Literal["file", "link", "folder"]
    size: int = 0
    #: of a link
    target: str = ""


class TarStream:
    """The entries of one tar, each with its content as blocks that are read at once or skipped."""

    def __init__(self, source: Source, where: str, limits: Limits) -> None:
        self._source, self._where, self._limits = source, where, limits
        self._left = 0
        self._padding = 0
        self._taken: set[str] = set()
        self._folders: set[str] = set()

    def __iter__(self) -> Iterator[tuple[TarEntry, Iterator[bytes]]]:
        extended: dict[str, str] = {}
        while (header := self._exactly(BLOCK)) != bytes(BLOCK):
            self._check(header)
            kind, size = header[156:157], self._number(header[124:136])
            if kind in {b"L", b"K", b"x", b"g"}:
                extended |= self._extended(kind, size)
                continue
            entry = self._entry(header, kind, int(extended.pop("size", size)), extended)
            extended = {}
            self._admit(entry)
            self._left, self._padding = entry.size, -entry.size % BLOCK
            yield entry, self._content()
            for _ in self._content():  # what was not asked for
                pass
            self._exactly(self._padding)
        while rest := self._source.read(CHUNK):
            if rest.strip(b"\0"):
                raise self._malformed("it has bytes behind its end")

    def _content(self) -> Iterator[bytes]:
        while self._left:
            block = self._source.read(min(self._left, CHUNK))
            if not block:
                raise self._malformed("it ends within a file")
            self._left -= len(block)
            yield block

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size and (block := self._source.read(size - len(found))):
            found += block
        if len(found) != size:
            raise self._malformed("it ends early")
        return found

    def _check(self, header: bytes) -> None:
        blank = header[:148] + b" " * 8 + header[156:]
        if sum(blank) != self._number(header[148:156]):
            raise self._malformed("a header has a wrong checksum")

    def _number(self, field: bytes) -> int:
        if field[0] & 0x80:  # base 256: sizes of 8 GiB and more
            return int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
        digits = field.strip(b"\0 ")
        if not _OCTAL.fullmatch(digits):  # int() would take a sign as well
            raise self._malformed("a header holds no number where one belongs")
        return int(digits or b"0", 8)

    def _extended(self, kind: bytes, size: int) -> dict[str, str]:
        if size > self._limits.header:
            raise self._unsafe(f"an extended header of {size} bytes")
        content = self._exactly(size)
        self._exactly(-size % BLOCK)
        if kind in {b"L", b"K"}:
            return {"path" if kind == b"L" else "linkpath": self._text(content.rstrip(b"\0"))}
        found, place = {}, 0
        while place < size:
            match = _RECORD.match(content, place)
            end = place + int(match[1]) if match else 0
            if match is None or not match.end() < end <= size or content[end - 1 : end] != b"\n":
                raise self._malformed("an extended header is no list of records")
            key = match[2]
            if key.startswith(b"GNU.sparse"):
                raise self._unsafe("a sparse file")
            if key in {b"path", b"linkpath", b"size"}:
                value = self._text(content[match.end() : end - 1])
                if kind == b"g" or (key == b"size" and not re.fullmatch("[0-9]{1,19}", value)):
                    raise self._malformed(f"an extended header has an odd {key.decode()}")
                found[key.decode()] = value
            place = end
        return found

    def _entry(self, header: bytes, kind: bytes, size: int, extended: dict[str, str]) -> TarEntry:
        if (known := _KINDS.get(kind)) is None:
            raise self._unsafe(_REFUSED.get(kind, f"an entry of type {kind!r}"))
        path = extended.get("path")
        if path is None:
            path = self._field(header[:100])
            # ustar's prefix; in GNU's own format (magic "ustar  ") times stand there
            if header[257:263] == b"ustar\0" and (front := self._field(header[345:500])):
                path = f"{front}/{path}"
        if known == "folder":
            path = path.removesuffix("/")
        target = ""
        if known == "link":
            found = extended.get("linkpath")
            target = self._field(header[157:257]) if found is None else found
        if size > self._limits.file:
            raise self._unsafe(f"{path!r} with {size} bytes")
        return TarEntry(path=path, kind=known, size=size if known == "file" else 0, target=target)

    def _field(self, field: bytes) -> str:
        return self._text(field.partition(b"\0")[0])

    def _text(self, content: bytes) -> str:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise self._malformed(f"{content[:80]!r} is not UTF-8") from None

    def _admit(self, entry: TarEntry) -> None:
        parts = entry.path.split("/")
        if (
            any(part in {"", ".", ".."} for part in parts)
            or "\\" in entry.path
            or _DRIVE.match(entry.path)
            or any(ord(letter) < 32 for letter in entry.path)
            or len(entry.path) > 4096
        ):
            raise self._unsafe(f"the unsafe path {entry.path[:200]!r}")
        above = ["/".join(parts[:end]) for end in range(1, len(parts))]
        if through := [folder for folder in above if folder in self._taken]:
            raise self._unsafe(f"{entry.path!r}, which leads through the file {through[0]!r}")
        if entry.path in self._taken or (entry.kind != "folder" and entry.path in self._folders):
            raise self._unsafe(f"two entries named {entry.path!r}")
        if len(self._taken) + len(self._folders) > self._limits.entries:
            raise self._unsafe(f"more than {self._limits.entries} entries")
        self._folders.update(above)
        if entry.kind == "folder":
            self._folders.add(entry.path)
        else:
            self._taken.add(entry.path)

    def _malformed(self, what: str) -> MalformedError:
        return MalformedError(f"a damaged tar: {what}", where=self._where, next_step=_NEXT)

    def _unsafe(self, what: str) -> UnsafeArchiveError:
        return UnsafeArchiveError(f"the archive holds {what}", where=self._where, next_step=_NEXT)
