"""A member of a remote wheel as a seekable file, inflated from its front and its end on demand.

Nothing but what somebody looks at is asked for: a library's headers stand at its front, its symbol
tables at its front or its end, and 300 MB of code lie between them. What is read this way is held
against no sha256, which would take the whole member: it decides what is locked, and what is built
is judged again by all of its bytes.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import IO, Final

from generator.errors import MalformedError
from generator.transport.parts import Elsewhere
from generator.upstream.deflate import Ending, inflate_ending

#: bytes of a zip local file header before the name (APPNOTE 4.3.7)
_LOCAL_HEADER: Final = 30
#: bytes of extra fields that are allowed for: zip64's and a time stamp
_EXTRA: Final = 64
#: packed bytes that are asked for at once at the front, at least and at most
_PIECE: Final = 1 << 16
_MOST_PIECE: Final = 1 << 20
#: packed bytes of the first read at the end, at least and at most: a share of the member
_END: Final = (1 << 17, 1 << 19)
_END_SHARE: Final = 128
#: packed bytes in which a block has to begin, where zlib writes one each 10 to 40 kB: to look for
#: one in what cannot be packed costs 2 seconds a megabyte
_SEARCH: Final = 1 << 16


class MemberFile(Elsewhere):
    """One member of an archive; a seek costs nothing, a read no more than it has to.

    ``most`` bytes are inflated and kept at either side.
    Raises MalformedError: when read, if the member cannot be inflated, or a place lies too deep in
    it. UnreachableError: when read, as the archive's file does.
    """

    def __init__(self, file: IO[bytes], info: zipfile.ZipInfo, most: int) -> None:
        super().__init__(info.file_size)
        self._file, self._info, self._most = file, info, most
        self._start: int | None = None
        self._taken = 0
        self._front = bytearray()
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._held = b""
        self._wanted = min(max(_END[0], info.compress_size // _END_SHARE), _END[1])
        self._end: Ending | None = None

    def part(self, first: int, last: int) -> bytes:
        """Return bytes, inflating from the side that is nearer."""
        if self._info.compress_type == zipfile.ZIP_STORED:
            return self._packed(first, last)
        while True:
            if last <= len(self._front):
                return bytes(self._front[first:last])
            start = self.size
            if self._end is not None:
                start -= len(self._end.content)
                if self._end.knows(first - start, last - start):
                    return self._end.content[first - start : last - start]
            whole = self._taken + self._wanted >= self._info.compress_size
            if not whole and start - first < last - len(self._front):
                self._grow_end()
            else:
                self._grow_front(last)

    def _grow_front(self, last: int) -> None:
        """Inflate one more piece at the front, on the way to ``last``."""
        packed = self._info.compress_size
        likely = (last - len(self._front)) * packed // max(1, self.size)
        end = min(packed, self._taken + min(_MOST_PIECE, max(_PIECE, likely)))
        try:
            self._front += self._stream.decompress(
                self._packed(self._taken, end),
                min(self.size, self._most) - len(self._front) + 1,
            )
        except zlib.error as error:
            raise self._bad(str(error)) from error
        self._refuse(len(self._front))
        if len(self._front) > self.size or (end == packed and len(self._front) < self.size):
            raise self._bad(f"it does not unpack to the {self.size:,} bytes that are declared")
        self._taken = end

    def _grow_end(self) -> None:
        """Inflate the end from an earlier block on; each time twice as much of it."""
        packed, held = self._info.compress_size, len(self._held)
        self._held = self._packed(packed - self._wanted, packed - held) + self._held
        room = min(self.size, self._most)
        self._end = inflate_ending(self._held, room, _SEARCH) or self._end
        if self._end is None:
            self._refuse(len(self._held))
        self._wanted *= 2

    def _refuse(self, kept: int) -> None:
        if kept > self._most:
            raise self._bad(f"what is looked for lies deeper in it than {self._most:,} bytes")

    def _packed(self, first: int, last: int) -> bytes:
        if self._start is None:
            self._start = member_start(self._file, self._info)
        self._file.seek(self._start + first)
        content = self._file.read(last - first)
        if len(content) != last - first:
            raise self._bad("the archive ends within it")
        return content

    def _bad(self, what: str) -> MalformedError:
        return MalformedError(
            f"member {self._info.filename!r} cannot be read: {what}",
            next_step="report it upstream",
        )


def member_start(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Return where a member's packed bytes begin; its name may be longer than the directory says.

    Raises MalformedError: there is no local header.
    """
    file.seek(info.header_offset)
    # with the first piece, so that a remote file is asked once for both
    ahead = min(_PIECE, info.compress_size) + len(info.orig_filename.encode()) + _EXTRA
    header = file.read(_LOCAL_HEADER + ahead)[:_LOCAL_HEADER]
    if len(header) != _LOCAL_HEADER or not header.startswith(b"PK\3\4"):
        raise MalformedError(
            f"member {info.filename!r} has no header of its own", next_step="report it upstream"
        )
    names, extra = struct.unpack_from("<HH", header, _LOCAL_HEADER - 4)
    return int(info.header_offset) + _LOCAL_HEADER + int(names) + int(extra)
