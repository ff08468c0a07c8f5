"""Writes Mach-O libraries and programs that dyld would take (mach-o/loader.h, mach-o/fat.h)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

ARM64, X86_64 = 0x0100000C, 0x01000007
_ID, _LOAD, _RPATH, _UUID, _SEGMENT = 0xD, 0xC, 0x8000001C, 0x1B, 0x19
#: LC_BUILD_VERSION
BUILD_VERSION = 0x32
_EXECUTE, _DYLIB = 2, 6
#: "xx.yy.zz" as LC_BUILD_VERSION and dylib versions have it
Version = tuple[int, int, int]


def macho(
    loads: Sequence[str | tuple[str, Version]] = (),
    *,
    name: str | None = None,
    version: Version = (1, 0, 0),
    rpaths: Sequence[str] = (),
    minos: tuple[int, int] = (14, 0),
    cpu: int = ARM64,
    program: bool = False,
    body: bytes = b"",
) -> bytes:
    """Write a 64-bit little-endian Mach-O file; a load may carry a compatibility version.

    `name` is the install name of a library and `version` its compatibility version; `body` stands
    at the end of the file, in `__TEXT`.
    """
    commands = []

    def command(kind: int, head: bytes, value: str = "") -> None:
        text = value.encode() + b"\0" if value else b""
        size = 8 + len(head) + len(text)
        padding = -size % 8
        commands.append(struct.pack("<II", kind, size + padding) + head + text + bytes(padding))

    def dylib(kind: int, value: str, compatible: Version) -> None:
        packed = compatible[0] << 16 | compatible[1] << 8 | compatible[2]
        command(kind, struct.pack("<IIII", 24, 2, packed, packed), value)

    if name is not None:
        dylib(_ID, name, version)
    for load in loads:
        dylib(_LOAD, *((load, (1, 0, 0)) if isinstance(load, str) else load))
    for rpath in rpaths:
        command(_RPATH, struct.pack("<I", 12), rpath)
    command(BUILD_VERSION, struct.pack("<IIII", 1, minos[0] << 16 | minos[1] << 8, 26 << 16, 0))
    command(_UUID, hashlib.sha256(b"".join(commands) + body).digest()[:16])
    size = sum(map(len, commands)) + 72
    total = 32 + size + len(body)
    segment = struct.pack(
        "<16sQQQQiiII", b"__TEXT", 0, total, 0, total, 5, 5, 0, 0
    )  # readable and executable, no sections
    commands.append(struct.pack("<II", _SEGMENT, 72) + segment)
    header = struct.pack(
        "<8I", 0xFEEDFACF, cpu, 0, _EXECUTE if program else _DYLIB, len(commands), size, 0, 0
    )
    return header + b"".join(commands) + body


def fat(*slices: bytes) -> bytes:
    """Put thin Mach-O files into a fat one."""
    offset = 8 + 20 * len(slices)
    header = struct.pack(">II", 0xCAFEBABE, len(slices))
    for content in slices:
        (cpu,) = struct.unpack_from("<I", content, 4)
        header += struct.pack(">IIIII", cpu, 0, offset, len(content), 0)
        offset += len(content)
    return header + b"".join(slices)


def macho_x86_64() -> bytes:
    """Write a Mach-O file for the other Mac."""
    return macho(cpu=X86_64)
