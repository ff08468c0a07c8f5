"""A remote file as a seekable one of which each read asks for its own part."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class PartsFile(io.RawIOBase):
    """A file of ``size`` bytes that somebody else has; ``part`` gives the bytes from a place on."""

    def __init__(self, size: int, part: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._size, self._part, self._at = size, part, 0

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
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill ``buffer`` with what follows; return how many bytes there were."""
        view = memoryview(buffer)
        wanted = max(0, min(len(view), self._size - self._at))
        content = self._part(self._at, wanted) if wanted else b""
        view[: len(content)] = content
        self._at += len(content)
        return len(content)
