"""Rules by which two members with different bytes are proven to mean the same.

Standard library only, and nothing of armtorch: part of the unpacker (recipes/_unpack), too.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

_ELFCLASS64 = 2
_PT_NOTE = 4
_NT_GNU_BUILD_ID = 3
#: a C string that is what ``__TIME__`` expands to (C17 6.10.8.1), with its terminating NUL
TIME = re.compile(rb"[0-2][0-9]:[0-5][0-9]:[0-5][0-9](?=\0)")
#: a quoted absolute path up to the wheel's own ``torch`` folder
_BUILD_PATH = re.compile(rb'"(?:/|[A-Za-z]:[/\\])[^"\n]*?(?=[/\\]torch[/\\"])')


def normalise(rule: str, content: bytes) -> bytes:
    """Blank out what ``rule`` says does not matter; the length stays unless the rule is a text one.

    Raises:
        ValueError: there is no such rule, or ``content`` is not what the rule is for.

    """
    if rule == "build-id-and-time":
        return without_build_id_and_time(content)
    if rule == "build-path":
        return _BUILD_PATH.sub(b'"', content)
    msg = f"no rule is called {rule!r}"
    raise ValueError(msg)


def without_build_id_and_time(content: bytes) -> bytes:
    """Return an ELF file with zeros for its GNU build-id and for ``HH:MM:SS`` strings.

    Raises:
        ValueError: it is not a little-endian ELF file (the System V ABI's layout).

    """
    blank = bytearray(content)
    try:
        for first, last in build_ids(content):
            if last > len(content):
                msg = "a broken ELF file: a note is longer than the file"
                raise ValueError(msg)
            blank[first:last] = bytes(last - first)
    # an offset of more than 63 bits is none for the C code below struct
    except (struct.error, OverflowError) as error:
        msg = f"a broken ELF file: {error}"
        raise ValueError(msg) from error
    return TIME.sub(b"00:00:00", bytes(blank))


def build_ids(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the GNU build-id notes of an ELF file hold their hash."""
    if content[:4] != b"\x7fELF" or content[4:6] not in {b"\x02\x01", b"\x01\x01"}:
        msg = "not a little-endian ELF file"
        raise ValueError(msg)
    wide = content[4] == _ELFCLASS64
    (table,) = struct.unpack_from("<Q" if wide else "<I", content, 0x20 if wide else 0x1C)
    width, count = struct.unpack_from("<HH", content, 0x36 if wide else 0x2A)
    # kind, flags (64 bits only), offset, two addresses, size
    row = struct.Struct("<I4xQQQQ" if wide else "<IIIII")
    for index in range(count):
        kind, offset, _, _, size = row.unpack_from(content, table + index * width)
        if kind != _PT_NOTE:
            continue
        end = offset + size
        while offset + 12 <= end:
            names, descriptions, note = struct.unpack_from("<III", content, offset)
            name = content[offset + 12 : offset + 12 + names]
            first = offset + 12 + (names + 3) // 4 * 4
            if name == b"GNU\0" and note == _NT_GNU_BUILD_ID:
                yield first, first + descriptions
            offset = first + (descriptions + 3) // 4 * 4
