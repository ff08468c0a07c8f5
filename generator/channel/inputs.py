"""What a package says it was made from, read from a channel without its payload.

Two packages of one name that were made from the same inputs are the same package, also where a
repository that moved or a newer builder gave them other bytes (decision D20).
"""

from __future__ import annotations

import io
from typing import IO, Final

from generator.documents import load_json, read_info_file
from generator.errors import ArmtorchError

#: bytes of a package's end in which its metadata lies: it is the last part of a .conda file
TAIL: Final = 4 << 20
_ABOUT: Final = "info/about.json"


class TailFile(io.RawIOBase):
    """A file of which only the last bytes are here; OSError where others are asked for."""

    def __init__(self, size: int, tail: bytes) -> None:
        super().__init__()
        self._start, self._size, self._tail, self._place = size - len(tail), size, tail, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readall(self) -> bytes:
        """Read up to the end."""
        return self.read(-1)

    def read(self, size: int = -1) -> bytes:
        """Read on; raises OSError where the bytes are not here."""
        if self._place < self._start and size != 0:
            msg = f"only the last {len(self._tail)} bytes of it were fetched"
            raise OSError(msg)
        begin = self._place - self._start
        found = self._tail[begin:] if size < 0 else self._tail[begin : begin + size]
        self._place += len(found)
        return found


def inputs_digest(file: IO[bytes], name: str) -> str:
    """Return the digest of its inputs that a package states; "" where it states none."""
    try:
        found = load_json(read_info_file(file, name, _ABOUT) or b"{}", name)
    except ArmtorchError:
        return ""
    extra = found.get("extra") if isinstance(found, dict) else None
    ours = extra.get("armtorch") if isinstance(extra, dict) else None
    digest = ours.get("digest") if isinstance(ours, dict) else None
    return digest if isinstance(digest, str) else ""
