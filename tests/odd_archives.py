"""Writes zip and tar archives header by header, sound ones and such as no archiver would write.

Layouts: APPNOTE.TXT 4.3.7 to 4.3.16; POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header
Block"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

USTAR, GNU, OLD = b"ustar\x0000", b"ustar  \0", bytes(8)


@dataclass(frozen=True)
class Tarred:
    """One entry of a tar; what is None is as it should be."""

    name: bytes
    content: bytes = b""
    kind: bytes = b"0"
    link: bytes = b""
    mode: int = 0o644
    mtime: int = 0
    magic: bytes = GNU
    prefix: bytes = b""
    owner: int = 0
    user: bytes = b""
    #: the size field as it is to stand there
    size: bytes | None = None
    #: added to the checksum
    wrong: int = 0
    #: whole blocks in front of the header
    front: bytes = b""
    #: what fills the last block
    filler: int = 0
    #: octal numbers end so
    end: bytes = b"\0"

    def blocks(self) -> bytes:
        """Return header, content and padding; names over 100 bytes go in front as GNU tar does."""
        front = self.front
        for kind, text in ((b"K", self.link), (b"L", self.name)):
            if len(text) > 100:
                front += extended(kind, text + b"\0")
        size = self.size if self.size is not None else self._octal(len(self.content), 12)
        head = bytearray(
            self.name[:100].ljust(100, b"\0")
            + self._octal(self.mode, 8)
            + self._octal(self.owner, 8)
            + self._octal(0, 8)
            + size
            + self._octal(self.mtime, 12)
            + b" " * 8
            + self.kind
            + self.link[:100].ljust(100, b"\0")
            + self.magic
            + self.user.ljust(32, b"\0")
            + bytes(32 + 16)
            + self.prefix.ljust(155, b"\0")
            + bytes(12)
        )
        # devices' numbers are empty in what the seal writes
        head[148:156] = b"%06o\0 " % (sum(head) + self.wrong)
        padding = bytes([self.filler]) * (-len(self.content) % 512)
        return front + bytes(head) + self.content + padding

    def _octal(self, number: int, width: int) -> bytes:
        digits = b"%0*o" % (width - len(self.end), number)
        return digits[-(width - len(self.end)) :] + self.end


def extended(kind: bytes, content: bytes) -> bytes:
    """Return a header that says something of the next entry, with its content."""
    name = b"././@LongLink" if kind in b"LK" else b"./PaxHeaders/x"
    magic = GNU if kind in b"LK" else USTAR
    return Tarred(
        name, content, kind=kind, mode=0 if kind in b"LK" else 0o644, magic=magic
    ).blocks()


def pax(*records: tuple[str, str], kind: bytes = b"x") -> bytes:
    """Return a pax header with these records."""
    content = b""
    for key, value in records:
        text = f" {key}={value}\n".encode()
        length = len(text) + len(str(len(text)))
        length = len(text) + len(str(length))
        content += str(length).encode() + text
    return extended(kind, content)


def tar(entries: Iterable[Tarred], end: bytes = bytes(1024)) -> bytes:
    """Return a tar of entries."""
    return b"".join(entry.blocks() for entry in entries) + end


@dataclass(frozen=True)
class Zipped:
    """One member of a zip; ``local`` and ``central`` say where its two headers are other ones."""

    name: bytes
    content: bytes
    #: packed content, where that is another
    packed: bytes | None = None
    method: int = 0
    flags: int = 0
    #: APPNOTE 4.4.2: version needed
    version: int = 20
    zip64: bool = False
    extra: bytes = b""
    comment: bytes = b""
    date: tuple[int, int] = (0, 33)
    local: dict[str, object] = field(default_factory=dict)
    central: dict[str, object] = field(default_factory=dict)
    #: bytes before its local header, and after its content
    before: bytes = b""
    after: bytes = b""
    #: whether the directory, and the body, have it
    listed: bool = True
    there: bool = True

    def sizes(self) -> tuple[int, int, int]:
        packed = self.content if self.packed is None else self.packed
        return zlib.crc32(self.content), len(packed), len(self.content)

    def body(self) -> bytes:
        """Return the local header and the content."""
        one = replace(self, **self.local)  # type: ignore[arg-type]
        crc, packed, size = one.sizes()
        extra = one.extra
        if one.zip64:
            extra = struct.pack("<HHQQ", 1, 16, size, packed) + extra
            packed = size = 0xFFFFFFFF
        head = struct.pack(
            "<4s5H3I2H",
            *(b"PK\3\4", one.version, one.flags, one.method, *one.date),
            *(crc, packed, size, len(one.name), len(extra)),
        )
        content = self.content if self.packed is None else self.packed
        return head + one.name + extra + content

    def entry(self, offset: int) -> bytes:
        """Return its row of the directory."""
        one = replace(self, **self.central)  # type: ignore[arg-type]
        crc, packed, size = one.sizes()
        return (
            struct.pack(
                "<4s6H3I5H2I",
                *(b"PK\1\2", one.version | 3 << 8, one.version, one.flags, one.method, *one.date),
                *(crc, packed, size, len(one.name), len(one.extra), len(one.comment)),
                *(0, 0, 0o100644 << 16, offset),
            )
            + one.name
            + one.extra
            + one.comment
        )


def zipped(members: Iterable[Zipped], *, front: bytes = b"", comment: bytes = b"") -> bytes:
    """Return a zip of members, in this order."""
    content, rows = front, []
    for member in members:
        content += member.before
        rows += [member.entry(len(content))] if member.listed else []
        content += (member.body() if member.there else b"") + member.after
    directory = b"".join(rows)
    end = struct.pack(
        "<4s4H2IH",
        *(b"PK\5\6", 0, 0, len(rows), len(rows)),
        *(len(directory), len(content), len(comment)),
    )
    return content + directory + end + comment
