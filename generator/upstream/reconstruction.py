"""Rebuilds a member from its twin in another wheel, so that it need not be read.

RECORD promises the member's sha256, the archive's directory its CRC-32. Where two builds of one
library differ by the build-id and one ``__TIME__`` string only, the beginning of the member has
the build-id, and the CRC, which is linear, says which of the day's 86,400 seconds it was. The
sha256 then proves that every byte is right; when it does not, the member is read whole.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import IO, Final

from generator.upstream.equivalence import TIME, build_ids

#: compressed bytes in which the build-id of a library stands; it comes right after the headers
_HEAD: Final = 4096
#: bytes of a zip local file header before the name (APPNOTE 4.3.7)
_LOCAL_HEADER: Final = 30
#: bytes that the beginning of a member may unpack to
_UNPACKED: Final = 1 << 22
#: highest digit at each place of HH:MM:SS
_DIGITS: Final = ((0, 2), (1, 9), (3, 5), (4, 9), (6, 5), (7, 9))


def beginning(file: IO[bytes], info: zipfile.ZipInfo) -> bytes:
    """Return the beginning of a deflated member, reading little of it; nothing for others."""
    if info.compress_type != zipfile.ZIP_DEFLATED:
        return b""
    length = min(_HEAD, info.compress_size)
    file.seek(info.header_offset)
    start = file.read(_LOCAL_HEADER + len(info.orig_filename.encode()) + length)
    try:
        names, extra = struct.unpack_from("<HH", start, _LOCAL_HEADER - 4)
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(
            start[_LOCAL_HEADER + names + extra :], _UNPACKED
        )
    except (zlib.error, struct.error):
        return b""


def rebuild(twin: bytes, head: bytes, crc: int) -> bytes | None:
    """Return ``twin`` with the build-id of ``head`` and the time that gives it ``crc``.

    None when the two differ in other ways than that; the caller holds the result against sha256.
    """
    try:
        notes = list(build_ids(twin))
    except (ValueError, struct.error):
        return None
    content = bytearray(twin)
    for first, last in notes:
        if last > len(head):
            return None
        content[first:last] = head[first:last]
    times = list(TIME.finditer(twin))
    if len(times) > 1 or bytes(content[: len(head)]) != head:
        return None
    if times:
        first = times[0].start()
        if (found := _time(bytes(content), first, crc)) is None:
            return None
        content[first : first + 8] = found
    return bytes(content)


def _time(content: bytes, first: int, crc: int) -> bytes | None:
    """Return the HH:MM:SS at ``first`` that gives ``content`` this CRC."""
    zero = content[:first] + b"00:00:00" + content[first + 8 :]
    wanted = zlib.crc32(zero) ^ crc
    tail = len(content) - first
    # what a digit at a place adds to the CRC of the file, whatever else is in it
    empty = zlib.crc32(bytes(tail))
    effects = [
        [
            zlib.crc32(bytes(place) + bytes([digit]) + bytes(tail - place - 1)) ^ empty
            for digit in range(highest + 1)
        ]
        for place, highest in _DIGITS
    ]
    minutes = {
        _pair(effects, 2, n) ^ _pair(effects, 4, m): (n, m) for n in range(60) for m in range(60)
    }
    for hour in range(24):
        if (rest := minutes.get(wanted ^ _pair(effects, 0, hour))) is not None:
            return f"{hour:02}:{rest[0]:02}:{rest[1]:02}".encode()
    return None


def _pair(effects: list[list[int]], place: int, number: int) -> int:
    """Effect of a two-digit number whose tens stand at ``place`` of the six."""
    return effects[place][number // 10] ^ effects[place + 1][number % 10]
