"""Writes the smallest ELF and Mach-O files that a loader would take, for tests to vary."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

AARCH64, X86_64 = 183, 62
_MACHO_ARM64, _MACHO_X86_64 = 0x0100000C, 0x01000007


def elf(
    needs: Sequence[str] = (),
    *,
    machine: int = AARCH64,
    soname: str | None = None,
    rpath: str | None = None,
    runpath: str | None = None,
    program: bool = False,
    versions: Mapping[str, Sequence[str]] | None = None,
) -> bytes:
    """Write a 64-bit little-endian ELF file; `versions` maps a needed file to its versions."""
    strings = b"\0"

    def text(value: str) -> int:
        nonlocal strings
        strings += value.encode() + b"\0"
        return len(strings) - 1 - len(value.encode())

    tags = [(1, text(name)) for name in needs]
    tags += [
        (tag, text(value))
        for tag, value in ((14, soname), (15, rpath), (29, runpath))
        if value is not None
    ]
    verneed = b""
    for index, (file, wanted) in enumerate((versions or {}).items()):
        last = index == len(versions or {}) - 1
        parts = [
            struct.pack("<IHHII", 0, 0, 2, text(name), 0 if n == len(wanted) - 1 else 16)
            for n, name in enumerate(wanted)
        ]
        size = 16 + 16 * len(parts)
        verneed += struct.pack(
            "<HHIII", 1, len(parts), text(file), 16, 0 if last else size
        ) + b"".join(parts)
    count = 3 if program else 2
    base = 0x10000
    strtab = 64 + 56 * count
    needed = strtab + len(strings)
    dynamic = needed + len(verneed)
    tags += [(5, base + strtab), (10, len(strings))]
    if verneed:
        tags += [(0x6FFFFFFE, base + needed), (0x6FFFFFFF, len(versions or {}))]
    content = b"".join(struct.pack("<qQ", *tag) for tag in (*tags, (0, 0)))
    total = dynamic + len(content)
    segments = [(1, 0, total), (2, dynamic, len(content)), (3, 0, 0)][:count]
    header = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, count, 64, 0, 0)
    )
    table = b"".join(
        struct.pack("<IIQQQQQQ", kind, 4, offset, base + offset, base + offset, size, size, 8)
        for kind, offset, size in segments
    )
    return header + table + strings + verneed + content


def macho(
    loads: Sequence[str | tuple[str, tuple[int, int, int]]] = (),
    *,
    name: str | None = None,
    rpaths: Sequence[str] = (),
    minos: tuple[int, int] = (14, 0),
    cpu: int = _MACHO_ARM64,
    program: bool = False,
) -> bytes:
    """Write a 64-bit little-endian Mach-O file; a load may carry a compatibility version."""
    commands = []

    def command(kind: int, head: bytes, value: str = "") -> None:
        body = value.encode() + b"\0" if value else b""
        size = 8 + len(head) + len(body)
        padding = -size % 8
        commands.append(struct.pack("<II", kind, size + padding) + head + body + bytes(padding))

    def dylib(kind: int, value: str, version: tuple[int, int, int]) -> None:
        packed = version[0] << 16 | version[1] << 8 | version[2]
        command(kind, struct.pack("<IIII", 24, 2, packed, packed), value)

    if name is not None:
        dylib(0xD, name, (1, 0, 0))
    for load in loads:
        dylib(0xC, *((load, (1, 0, 0)) if isinstance(load, str) else load))
    for rpath in rpaths:
        command(0x8000001C, struct.pack("<I", 12), rpath)
    command(0x32, struct.pack("<IIII", 1, minos[0] << 16 | minos[1] << 8, 26 << 16, 0))
    body = b"".join(commands)
    header = struct.pack(
        "<8I", 0xFEEDFACF, cpu, 0, 2 if program else 6, len(commands), len(body), 0, 0
    )
    return header + body


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
    return macho(cpu=_MACHO_X86_64)
