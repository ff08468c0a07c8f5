"""A file that somebody else has as a seekable one, of which each read asks for its own part."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Elsewhere(io.RawIOBase):
    """A file of ``size`` bytes; a seek costs nothing, a read what `part` does."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self._at = size, 0

    @abstractmethod
    def part(self, first: int, last: int) -> bytes:
        """Return the bytes ``[first, last)``, which are all within the file."""

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to ``offset`` bytes from the start, here or the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Return up to ``size`` bytes, everything that is left for a negative or no size."""
        first = min(self._at, self.size)
        last = self.size if size is None or size < 0 else min(self.size, first + size)
        content = self.part(first, last) if last > first else b""
        self._at = first + len(content)
        return content

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill ``buffer`` with what follows; return how many bytes there were."""
        view = memoryview(buffer)
        content = self.read(len(view))
        view[: len(content)] = content
        return len(content)


class PartsFile(Elsewhere):
    """One whose parts a function gives, by where they begin and how long they are."""

    def __init__(self, size: int, part: Callable[[int, int], bytes]) -> None:
        super().__init__(size)
        self._part = part

    def part(self, first: int, last: int) -> bytes:
        """Ask the function."""
        return self._part(first, last - first)
