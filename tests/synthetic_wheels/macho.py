"""Writes Mach-O libraries and programs that dyld would take (mach-o/loader.h, mach-o/fat.h)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence

from tests.synthetic_wheels.macho_symbols import (
    CHAINED_FIXUPS,
    DYLD_INFO,
    EXPORTS_TRIE,
    bindings,
    chained_fixups,
    export_trie,
)

ARM64, X86_64 = 0x0100000C, 0x01000007
_ID, _LOAD, _RPATH, _UUID, _SEGMENT = 0xD, 0xC, 0x8000001C, 0x1B, 0x19
_REEXPORT = 0x8000001F
#: MH_TWOLEVEL
_TWO_LEVEL = 0x80
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
    exports: Sequence[str] = (),
    binds: Mapping[str, str] | None = None,
    weak: Sequence[str] = (),
    fixups: int = 1,
    reexports: Sequence[str] = (),
) -> bytes:
    """Write a 64-bit little-endian Mach-O file; a load may carry a compatibility version.

    `name` is the install name of a library and `version` its compatibility version; `body` stands
    in `__TEXT`. `binds` maps a symbol to the load it comes from, "" for any; those in `weak` need
    not be there. `fixups` is the form of the chained imports, 0 for binding opcodes. What is bound
    and exported stands in `__LINKEDIT`, at the end of the file.
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
    for again in reexports:
        dylib(_REEXPORT, again, (1, 0, 0))
    for rpath in rpaths:
        command(_RPATH, struct.pack("<I", 12), rpath)
    command(BUILD_VERSION, struct.pack("<IIII", 1, minos[0] << 16 | minos[1] << 8, 26 << 16, 0))
    command(_UUID, hashlib.sha256(b"".join(commands) + body).digest()[:16])
    asked = dict(binds or {})
    edit, edits = b"", list[bytes]()
    if asked or exports:
        names = [load if isinstance(load, str) else load[0] for load in loads]
        edit, edits = _link_edit(asked, frozenset(weak), [*names, *reexports], exports, fixups)
    size = sum(map(len, commands)) + 72 + (72 + sum(map(len, edits)) if edits else 0)
    total = 32 + size + len(body)
    segment = struct.pack(
        "<16sQQQQiiII", b"__TEXT", 0, total, 0, total, 5, 5, 0, 0
    )  # readable and executable, no sections
    commands.append(struct.pack("<II", _SEGMENT, 72) + segment)
    if edits:
        place = ("<16sQQQQiiII", b"__LINKEDIT", total, len(edit), total, len(edit), 1, 1, 0, 0)
        commands.append(struct.pack("<II", _SEGMENT, 72) + struct.pack(*place))
        commands += [_moved(each, total) for each in edits]
    kind, flags = _EXECUTE if program else _DYLIB, _TWO_LEVEL if edits else 0
    header = struct.pack("<8I", 0xFEEDFACF, cpu, 0, kind, len(commands), size, flags, 0)
    return header + b"".join(commands) + body + edit


def _link_edit(
    binds: Mapping[str, str],
    weak: frozenset[str],
    loads: Sequence[str],
    exports: Sequence[str],
    fixups: int,
) -> tuple[bytes, list[bytes]]:
    """Return __LINKEDIT, and the load commands that say where things are in it."""
    trie = export_trie(exports)
    trie += bytes(-len(trie) % 8)
    if fixups:
        imports = chained_fixups(binds, weak, loads, fixups)
        return imports + trie, [
            struct.pack("<IIII", CHAINED_FIXUPS, 16, 0, len(imports)),
            struct.pack("<IIII", EXPORTS_TRIE, 16, len(imports), len(trie)),
        ]
    opcodes = bindings(binds, weak, loads)
    places = (0, 0, 0, len(opcodes), 0, 0, 0, 0, len(opcodes), len(trie))
    return opcodes + trie, [struct.pack("<12I", DYLD_INFO, 48, *places)]


def _moved(command: bytes, start: int) -> bytes:
    """Let the places in a command count from the file's beginning."""
    numbers = list(struct.unpack(f"<{len(command) // 4}I", command))
    for index in range(2, len(numbers), 2):
        numbers[index] += start if numbers[index + 1] else 0
    return struct.pack(f"<{len(numbers)}I", *numbers)


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
