"""Reads a tar of which every header is the one that the seal writes for its entry."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, NoReturn, TypeAlias

import zstandard

from generator.building.archive import TAR_END, tar_header
from generator.inspecting.limits import Limits

CHUNK: Final = 1 << 20
_BLOCK: Final = 512
#: bytes of a file that tell whether it is executable
_HEAD: Final = 4
_NUMBER: Final = re.compile(rb"[0-7]{11}\0")
#: content of a file, of which a part may be asked for or all
Blocks: TypeAlias = Iterator[memoryview]
Refuse: TypeAlias = Callable[[str], NoReturn]


class Entry(NamedTuple):
    """A file, or a link with its target; the path is relative and leads nowhere else."""

    path: str
    size: int = 0
    target: str | None = None


class Tar:
    """A tar of which every header is the seal's, out of a decoder that may give so many bytes."""

    def __init__(
        self,
        source: zstandard.ZstdDecompressionReader,
        allowed: int,
        malformed: Refuse,
        unsafe: Refuse,
    ) -> None:
        self._source, self._left = source, allowed
        self._refuse, self._unsafe = malformed, unsafe
        self._held, self._place = b"", 0
        #: the time that the last header has
        self.seconds = 0

    def next(self, seconds: int | None, limits: Limits) -> Entry | None:
        """Return the next entry, None at the end; refuse headers of other forms or times."""
        self._hold(_BLOCK + _HEAD)
        start, held = self._place, self._held
        header = held[start : start + _BLOCK]
        if header[156:157] == b"0":
            self._place = start + _BLOCK
            size, link = self._number(header[124:136]), None
            name = self._text(header[:100].partition(b"\0")[0])
            head = held[self._place : self._place + min(size, _HEAD)]
            raw = header
        elif header == TAR_END[:_BLOCK]:
            self._end()
            return None
        else:
            raw, name, size, link = self._long(limits)
            head = self._peek(size)
            header = raw[-_BLOCK:]
        self.seconds = self._number(header[136:148]) if seconds is None else seconds
        wanted = tar_header(name, self.seconds, head=head, size=size, link=link)
        if raw != wanted or (link is not None and size):
            self._refuse(f"the header of {name[:200]!r} in its tar is not as the seal writes it")
        return Entry(name, size, link)

    def content(self, size: int) -> Blocks:
        """Yield the bytes of a file, and read the zeros that fill its last block."""
        padding = -size % _BLOCK
        if self._place + size + padding <= len(self._held):  # as most are
            end = self._place + size
            block = memoryview(self._held)[self._place : end]
            filled = self._held[end : end + padding]
            self._place = end + padding
            if size:
                yield block
        else:
            while size:
                block = self._some(size)
                size -= len(block)
                yield block
            filled = self._exactly(padding)
        if filled.strip(b"\0"):
            self._refuse("its tar has bytes where a block is filled up")

    def _end(self) -> None:
        self._exactly(_BLOCK)
        if self._exactly(_BLOCK) != TAR_END[:_BLOCK] or self._peek(1):
            self._refuse("its tar has bytes behind its end")

    def _long(self, limits: Limits) -> tuple[bytes, str, int, str | None]:
        """Read a link's header, or one with headers before it for names that do not fit."""
        raw = header = self._exactly(_BLOCK)
        long: dict[bytes, bytes] = {}
        while (kind := header[156:157]) in {b"L", b"K"} and len(long) < 2:
            size = self._number(header[124:136])
            if size > limits.header:
                self._refuse(f"a header of {size} bytes")
            content = self._exactly(size + -size % _BLOCK)
            long[kind] = content[: max(0, size - 1)]
            header = self._exactly(_BLOCK)
            raw += content + header
        name = self._text(long.get(b"L", header[:100].partition(b"\0")[0]))
        link: str | None = None
        if kind == b"2":
            link = self._text(long.get(b"K", header[157:257].partition(b"\0")[0]))
        return raw, name, self._number(header[124:136]), link

    def _hold(self, size: int) -> None:
        """Have so many bytes at hand, or what there is."""
        while len(self._held) - self._place < size and (more := self._source.read(CHUNK)):
            self._held, self._place = self._held[self._place :] + more, 0
            self._left -= len(more)
            if self._left < 0:
                self._unsafe("more in it than its size allows")

    def _peek(self, size: int) -> bytes:
        """Return what comes next, up to the bytes that tell a file's kind, and leave it there."""
        self._hold(_HEAD)
        return self._held[self._place : self._place + min(size, _HEAD)]

    def _some(self, size: int) -> memoryview:
        """Return up to ``size`` bytes, at least one."""
        self._hold(1)
        found = memoryview(self._held)[self._place : self._place + size]
        if not found:
            self._refuse("its tar ends within a file")
        self._place += len(found)
        return found

    def _exactly(self, size: int) -> bytes:
        self._hold(size)
        found = self._held[self._place : self._place + size]
        self._place += size
        if len(found) != size:
            self._refuse("its tar ends early")
        return found

    def _number(self, field: bytes) -> int:
        if field[0] == 0x80:  # base 256: sizes of 8 GiB and more
            return int.from_bytes(field[1:], "big")
        if not _NUMBER.fullmatch(field):
            self._refuse("a header in its tar holds no number where one belongs")
        return int(field[:-1], 8)

    def _text(self, content: bytes) -> str:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            self._refuse(f"its tar has a name that is not UTF-8: {content[:80]!r}")
