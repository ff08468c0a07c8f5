"""Keeps of a binary that streams by what says which system it needs, and not the rest of it."""

from __future__ import annotations

import io
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, cast

from generator.errors import LinkageError
from generator.inspecting import elf
from generator.inspecting.binary import Window

if TYPE_CHECKING:
    from typing import BinaryIO

    from _typeshed import ReadableBuffer

#: bytes at the beginning, where linkers put the tables that the loader reads (libtorch_cpu.so: the
#: needed versions at 5.4 MB), and at the end, where patchelf puts texts that it made longer
_FRONT: Final = 8 << 20
_END: Final = 1 << 20


class MissedError(Exception):
    """A part of the file was asked for that was not kept."""


class Pieces(io.RawIOBase):
    """The beginning of a file, its end, and where its dynamic section is; nothing is copied."""

    def __init__(self, path: str, size: int) -> None:
        """Begin with nothing of the file at ``path``, which has ``size`` bytes."""
        super().__init__()
        self._path, self._size = path, size
        self._pieces: list[memoryview] = []
        #: where each begins
        self._starts: list[int] = []
        self._wanted = range(0)
        self._written = self._place = 0

    def write(self, piece: ReadableBuffer) -> int:
        """Take what follows in the file."""
        start, view = self._written, memoryview(piece)
        self._written = end = start + len(view)
        dynamic = self._wanted
        if (
            start < _FRONT
            or end > self._size - _END
            or (start < dynamic.stop and end > dynamic.start)
        ):
            self._pieces.append(view)
            self._starts.append(start)
        if not start:
            self._wanted = self._dynamic()
        return len(view)

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; as `io.IOBase.seek`."""
        self._place = place + (0, self._place, self._size)[whence]
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes, or what there is; raise MissedError where they were not kept."""
        end = min(self._size, self._place + size) if size >= 0 else self._size
        found = b""
        while self._place < end:
            index = bisect_right(self._starts, self._place) - 1
            start = self._place - self._starts[index] if index >= 0 else 0
            part = self._pieces[index][start : start + end - self._place]
            if not part:
                raise MissedError
            found += part
            self._place += len(part)
        return found

    def _dynamic(self) -> range:
        """Return where an ELF file's dynamic section is, by its headers."""
        self.seek(0)
        if self.read(len(elf.MAGIC)) != elf.MAGIC:
            return range(0)
        try:
            window = Window(cast("BinaryIO", self), self._size, self._path)
            section = elf.read_layout(window).of(elf.PT["PT_DYNAMIC"])
        except (LinkageError, MissedError):
            return range(0)
        return range(0) if section is None else range(section.offset, section.offset + section.size)
