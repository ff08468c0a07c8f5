"""Reads the end of a deflate stream without its beginning (RFC 1951).

A library's symbol tables may stand at its end: Mach-O files have them there, and patchelf moves
``.dynstr`` there when it writes a longer search path. A deflate stream can be entered at any block:
what it says from there on depends on the past only through copies of up to 32 kB, which stand for
nothing here. So the rest is inflated twice, over two different pasts, and what comes out alike is
what it is; what does not is unknown.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

#: bytes that a copy may go back
_WINDOW: Final = 1 << 15
#: a block that begins like one is followed for so many bytes before it is believed
_BELIEVED: Final = 1 << 16
_PIECE: Final = 1 << 16
#: bytes in which candidates are looked for at a time
_STEP: Final = 1 << 12
#: bytes that the longest block header of interest has (3.2.7: up to 17 + 19 * 3 bits)
_HEADER: Final = 10
#: a block with dynamic codes that is not the last, HLIT and HDIST in range (3.2.3, 3.2.7)
_BEGINNING: Final = re.compile(
    b"(?=[%s][%s])"
    % (
        b"".join(re.escape(bytes([n])) for n in range(256) if n & 7 == 4 and n >> 3 <= 29),
        b"".join(re.escape(bytes([n])) for n in range(256) if n & 31 <= 29),
    ),
    re.DOTALL,
)
#: bytes of which all are unknown if one is
_BLOCK: Final = 1 << 9


@dataclass(frozen=True)
class Ending:
    """The last bytes of what a stream inflates to."""

    content: bytes
    #: blocks with bytes that depend on what was not read: first and behind the last, ascending
    unknown: tuple[tuple[int, int], ...]

    def knows(self, first: int, last: int) -> bool:
        """Whether ``[first, last)`` lies in it and is known."""
        return 0 <= first <= last <= len(self.content) and not any(
            start < last and first < end for start, end in self.unknown
        )


def inflate_ending(packed: bytes, most: int, search: int) -> Ending | None:
    """Inflate a stream from the first block that begins in ``packed`` on, which is its end.

    ``packed`` are the last bytes of a raw deflate stream, to its very end, ``most`` the bytes that
    the whole inflates to, ``search`` the bytes in which a block has to begin. None where no block
    is found from which the stream goes on to its end, and no further.
    """
    for place, bit in _beginnings(packed, min(search, len(packed))):
        if (found := _inflate(packed, place, bit, most)) is not None:
            return found
    return None


def _beginnings(packed: bytes, search: int) -> Iterator[tuple[int, int]]:
    for base in range(0, search, _STEP):
        piece = packed[base : base + _STEP + _HEADER + 1]
        number = int.from_bytes(piece, "little")
        found = []
        for bit in range(8):
            shifted = (number >> bit).to_bytes(len(piece), "little")
            found += [
                (base + match.start(), bit)
                for match in _BEGINNING.finditer(shifted, 0, _STEP)
                if match.start() < _STEP and _is_complete(shifted, match.start())
            ]
        yield from sorted(found)


def _is_complete(shifted: bytes, place: int) -> bool:
    """Whether the code lengths of a block's code length code are a whole code (3.2.7)."""
    bits = int.from_bytes(shifted[place : place + _HEADER], "little")
    count = (bits >> 13 & 15) + 4
    bits = bits >> 17 & (1 << 3 * count) - 1
    total = 0
    while bits and total <= 128:
        total += _shares()[bits & 0xFFF]
        bits >>= 12
    return total == 128


@cache
def _shares() -> tuple[int, ...]:
    """Return what four code lengths of 3 bits each take up of 128, all there is to a code."""
    return tuple(
        sum(128 >> (four >> 3 * n & 7) for n in range(4) if four >> 3 * n & 7)
        for four in range(1 << 12)
    )


def _inflate(packed: bytes, place: int, bit: int, most: int) -> Ending | None:
    if not _is_believed(packed, place, bit):
        return None
    one, other = (_Half(packed, place, bit, high=high) for high in (False, True))
    content, unknown = bytearray(), []
    try:
        for a, b in zip(one, other, strict=True):
            if a != b:
                unknown += [(len(content) + s, len(content) + e) for s, e in _differences(a, b)]
            content += a
            if len(content) > most:
                return None
    except zlib.error:
        return None
    return Ending(bytes(content), tuple(unknown)) if one.ended else None


def _is_believed(packed: bytes, place: int, bit: int) -> bool:
    """Whether the beginning of what a candidate inflates to can be had without an error."""
    size = 0
    half = _Half(packed, place, bit, high=False)
    try:
        for piece in half:
            size += len(piece)
            if size >= _BELIEVED:
                return True
    except zlib.error:
        return False
    return half.ended


class _Half:
    """Inflates from a bit on, over one of two pasts."""

    def __init__(self, packed: bytes, place: int, bit: int, *, high: bool) -> None:
        self._packed, self._place = packed, place
        self._lead, self._extra = _lead(packed[place], bit, high=high)
        past = (b"\xff" if high else b"\0") * _WINDOW
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS, zdict=past)

    @property
    def ended(self) -> bool:
        """Whether the stream ended where its bytes do."""
        return self._stream.eof and not self._stream.unused_data

    def __iter__(self) -> Iterator[bytes]:
        first = self._stream.decompress(self._lead + self._packed[self._place + 1 :][:_PIECE])
        yield first[self._extra :]
        for start in range(self._place + 1 + _PIECE, len(self._packed), _PIECE):
            yield self._stream.decompress(self._packed[start : start + _PIECE])


def _lead(first: int, bit: int, *, high: bool) -> tuple[bytes, int]:
    """Return what takes the place of a stream's first byte, and how many bytes that adds.

    zlib begins at a whole byte. A block with fixed codes (3.2.6) comes before: 3 bits, so many
    literals of 9 bits that ``bit`` bits are left over, and 7 bits of its end. The literals are
    part of the past, so they differ between the two.
    """
    literals = (bit - 2) % 8
    code = int(f"{0b111111111 if high else 0b110010000:09b}"[::-1], 2)
    value, size = 0b010, 3
    for _ in range(literals):
        value |= code << size
        size += 9
    size += 7
    value |= (first >> bit) << size
    return value.to_bytes(size // 8 + 1, "little"), literals


def _differences(one: bytes, other: bytes) -> Iterator[tuple[int, int]]:
    """Yield the blocks in which two pieces differ; by the byte, it would be a list without end."""
    for start in range(0, len(one), _BLOCK):
        end = min(start + _BLOCK, len(one))
        if one[start:end] != other[start:end]:
            yield start, end
