"""Writes ELF libraries and programs that a loader would take, for 64 and 32 bits.

System V gABI chapters 4 and 5; symbol versions as in the LSB's "Symbol Versioning"; the build-id
note and its segment as GNU ld writes them. Sections are left out: no loader reads them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

AARCH64, ARM, X86_64 = 183, 40, 62
_LOAD, _DYNAMIC, _INTERP, _NOTE, _GNU_STACK = 1, 2, 3, 4, 0x6474E551
_READ_WRITE, _READ = 6, 4
_NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 1, 5, 10, 14, 15, 29
_VERNEED, _VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
#: EABI version 5 with arguments in floating-point registers (ELF for the Arm architecture)
_ARM_HARD_FLOAT = 0x05000400
_LOADERS = {AARCH64: "/lib/ld-linux-aarch64.so.1", ARM: "/lib/ld-linux-armhf.so.3"}
_BASE = 0x10000


class _Width:
    """The structures of one word size."""

    def __init__(self, *, wide: bool) -> None:
        self.wide = wide
        word = "Q" if wide else "I"
        self.header = struct.Struct(f"<HHI{word * 3}IHHHHHH")
        self.segment = struct.Struct("<IIQQQQQQ" if wide else "<IIIIIIII")
        self.tag = struct.Struct("<qQ" if wide else "<iI")

    def pack_segment(self, kind: int, offset: int, size: int) -> bytes:
        place = _BASE + offset
        rights = _READ_WRITE if kind == _GNU_STACK else _READ
        if self.wide:
            return self.segment.pack(kind, rights, offset, place, place, size, size, 8)
        return self.segment.pack(kind, offset, place, place, size, size, rights, 4)


class _Strings:
    """A string table that grows; every text has one place."""

    def __init__(self) -> None:
        self.content = b"\0"
        self._places: dict[str, int] = {}

    def __call__(self, value: str) -> int:
        if value not in self._places:
            self._places[value] = len(self.content)
            self.content += value.encode() + b"\0"
        return self._places[value]


def elf(
    needs: Sequence[str] = (),
    *,
    machine: int = AARCH64,
    soname: str | None = None,
    rpath: str | None = None,
    runpath: str | None = None,
    program: bool = False,
    versions: Mapping[str, Sequence[str]] | None = None,
    build_id: bytes = b"",
    body: bytes = b"",
) -> bytes:
    """Write a little-endian ELF file; `versions` maps a needed file to its versions.

    The word size is the machine's: 32 bits for ARM, else 64. `body` stands at the end of the file.
    """
    width = _Width(wide=machine != ARM)
    text = _Strings()
    tags = [(_NEEDED, text(name)) for name in needs]
    tags += [
        (tag, text(value))
        for tag, value in ((_SONAME, soname), (_RPATH, rpath), (_RUNPATH, runpath))
        if value is not None
    ]
    wanted = dict(versions or {})
    verneed = _verneed(wanted, text)
    loader = _LOADERS.get(machine, "/lib64/ld.so").encode() + b"\0" if program else b""
    note = struct.pack("<III", 4, len(build_id), 3) + b"GNU\0" + build_id if build_id else b""

    parts = {_INTERP: loader, _NOTE: note}
    count = 3 + sum(map(bool, parts.values()))
    offset = 16 + width.header.size + width.segment.size * count
    # a stack that cannot be executed: without it glibc and the audit have to assume the worst
    segments, content = [(_GNU_STACK, 0, 0)], b""
    for kind, part in parts.items():
        if part:
            segments.append((kind, offset + len(content), len(part)))
            content += part + bytes(-len(part) % 8)
    strtab = offset + len(content)
    content += text.content + bytes(-len(text.content) % 8)
    needed = offset + len(content)
    content += verneed
    tags += [(_STRTAB, _BASE + strtab), (_STRSZ, len(text.content))]
    if verneed:
        tags += [(_VERNEED, _BASE + needed), (_VERNEEDNUM, len(wanted))]
    dynamic = b"".join(width.tag.pack(*tag) for tag in (*tags, (0, 0)))
    segments.append((_DYNAMIC, offset + len(content), len(dynamic)))
    content += dynamic + body
    segments.insert(0, (_LOAD, 0, offset + len(content)))
    table = b"".join(width.pack_segment(*segment) for segment in segments)
    return _header(width, machine, count) + table + content


def _header(width: _Width, machine: int, segments: int) -> bytes:
    """Write the ELF header of a shared object; the program headers come right behind it."""
    ident = b"\x7fELF" + bytes([2 if width.wide else 1, 1, 1]) + bytes(9)
    size = len(ident) + width.header.size
    flags = _ARM_HARD_FLOAT if machine == ARM else 0
    fields = (3, machine, 1, 0, size, 0, flags, size, width.segment.size, segments, 40, 0, 0)
    return ident + width.header.pack(*fields)


def _verneed(wanted: Mapping[str, Sequence[str]], text: _Strings) -> bytes:
    """Write the needed versions: a list of files, each with a list of version names."""
    found = b""
    for index, (file, names) in enumerate(wanted.items()):
        parts = [
            struct.pack("<IHHII", _hash(name), 0, 2, text(name), 16 * (n < len(names) - 1))
            for n, name in enumerate(names)
        ]
        last = index == len(wanted) - 1
        found += struct.pack(
            "<HHIII", 1, len(parts), text(file), 16, 0 if last else 16 + 16 * len(parts)
        ) + b"".join(parts)
    return found


def _hash(name: str) -> int:
    """Compute gABI's ELF hash of a version name, which glibc compares before the name."""
    value = 0
    for letter in name.encode():
        value = (value << 4) + letter
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high & 0xFFFFFFFF
    return value
