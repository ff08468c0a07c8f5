"""Writes ELF libraries and programs that a loader would take, for 64 and 32 bits.

System V gABI chapters 4 and 5; symbol versions as in the LSB's "Symbol Versioning"; the build-id
note and its segment as GNU ld writes them. Sections are left out unless asked for: no loader reads
them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

AARCH64, ARM, X86_64 = 183, 40, 62
_LOAD, _DYNAMIC, _INTERP, _NOTE, _GNU_STACK = 1, 2, 3, 4, 0x6474E551
_READ_WRITE, _READ = 6, 4
#: what a page may have on ARM; glibc refuses a segment that is aligned to less than one
_PAGE = 0x10000
_NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 1, 5, 10, 14, 15, 29
_VERNEED, _VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_HASH, _SYMTAB, _VERSYM, _GNU_HASH = 4, 6, 0x6FFFFFF0, 0x6FFFFEF5
_SHT_STRTAB, _SHT_DYNSYM, _SHT_VERNEED, _SHT_VERSYM = 3, 11, 0x6FFFFFFE, 0x6FFFFFFF
_GLOBAL, _WEAK = 1, 2
#: the first index of a needed version; 0 and 1 stand for symbols without one
_FIRST_VERSION = 2
#: EABI version 5 with arguments in floating-point registers (ELF for the Arm architecture)
_ARM_HARD_FLOAT = 0x05000400
_LOADERS = {AARCH64: "/lib/ld-linux-aarch64.so.1", ARM: "/lib/ld-linux-armhf.so.3"}
_BASE = _PAGE


class _Width:
    """The structures of one word size."""

    def __init__(self, *, wide: bool) -> None:
        self.wide = wide
        word = "Q" if wide else "I"
        self.header = struct.Struct(f"<HHI{word * 3}IHHHHHH")
        self.segment = struct.Struct("<IIQQQQQQ" if wide else "<IIIIIIII")
        self.tag = struct.Struct("<qQ" if wide else "<iI")
        self.section = struct.Struct("<IIQQQQIIQQ" if wide else "<10I")

    def pack_symbol(self, name: int, bind: int, section: int) -> bytes:
        info = bind << 4 | 2  # a function
        value, size = (_BASE, 8) if section else (0, 0)
        if self.wide:
            return struct.pack("<IBBHQQ", name, info, 0, section, value, size)
        return struct.pack("<IIIBBH", name, value, size, info, 0, section)

    def pack_segment(self, kind: int, offset: int, size: int) -> bytes:
        place = _BASE + offset
        rights = _READ_WRITE if kind == _GNU_STACK else _READ
        align = _PAGE if kind == _LOAD else 8 if self.wide else 4
        if self.wide:
            return self.segment.pack(kind, rights, offset, place, place, size, size, align)
        return self.segment.pack(kind, offset, place, place, size, size, rights, align)


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
    defines: Sequence[str] = (),
    asks: Mapping[str, str] | None = None,
    weak: Sequence[str] = (),
    gnu_hash: bool = False,
    sections: bool = False,
) -> bytes:
    """Write a little-endian ELF file; `versions` maps a needed file to its versions.

    The word size is the machine's: 32 bits for ARM, else 64. `body` stands at the end of the file,
    and behind it, with `sections`, the names and the section headers, as patchelf leaves a library.
    `asks` maps an undefined symbol to its version, "" for none; those in `weak` may stay undefined.
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
    asked = {**(asks or {}), **dict.fromkeys(weak, "")}
    verneed = _verneed(wanted, text, numbered=bool(asked))
    symbols = _Symbols(width, text, defines, asked, frozenset(weak), wanted)
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
    places: dict[int, int] = {}
    parts = {} if sections else {_STRTAB: text.content}
    parts |= {_VERNEED: verneed} if verneed else {}
    if asked or defines:
        parts |= {_SYMTAB: symbols.rows, _VERSYM: symbols.numbers}
        parts |= {_GNU_HASH: symbols.gnu_hash} if gnu_hash else {_HASH: symbols.hash}
    for tag, part in parts.items():
        places[tag] = offset + len(content)
        content += part + bytes(-len(part) % 8)
    if sections:
        count_of_tags = len(tags) + len(places) + 3 + bool(verneed)
        size = len(content) + width.tag.size * count_of_tags + len(body)
        places[_STRTAB] = offset + size + -size % 8
    strings = places[_STRTAB]
    tags += [(_STRTAB, _BASE + places.pop(_STRTAB)), (_STRSZ, len(text.content))]
    for tag, place in places.items():
        tags.append((tag, _BASE + place))
        tags += [(_VERNEEDNUM, len(wanted))] if tag == _VERNEED else []
    dynamic = b"".join(width.tag.pack(*tag) for tag in (*tags, (0, 0)))
    segments.append((_DYNAMIC, offset + len(content), len(dynamic)))
    content += dynamic + body
    end = b""
    if sections:
        content += bytes(strings - offset - len(content)) + text.content
        content += bytes(-len(content) % 8)
        places[_STRTAB] = strings
        end = _sections(width, places, len(text.content), len(symbols.rows), len(wanted))
    segments.insert(0, (_LOAD, 0, offset + len(content)))
    table = b"".join(width.pack_segment(*segment) for segment in segments)
    header = _header(width, machine, count, offset + len(content) if end else 0, len(end))
    return header + table + content + end


class _Symbols:
    """The dynamic symbols, those that are asked for first, and what belongs to them."""

    def __init__(
        self,
        width: _Width,
        text: _Strings,
        defines: Sequence[str],
        asks: Mapping[str, str],
        weak: frozenset[str],
        versions: Mapping[str, Sequence[str]],
    ) -> None:
        numbers = {name: n for n, name in enumerate(_all(versions), _FIRST_VERSION)}
        rows = [(0, 0, 0)]
        rows += [(text(name), _WEAK if name in weak else _GLOBAL, 0) for name in asks]
        rows += [(text(name), _GLOBAL, 1) for name in defines]
        self.rows = b"".join(width.pack_symbol(*row) for row in rows)
        said = [0, *(numbers.get(version, 0) for version in asks.values()), *(1 for _ in defines)]
        self.numbers = struct.pack(f"<{len(said)}H", *said)
        # one bucket with a chain through all of them
        chain = [*range(1, len(rows)), 0]
        self.hash = struct.pack(f"<{3 + len(chain)}I", 1, len(rows), 1 % len(rows), *chain)
        first, bloom = 1 + len(asks), bytes(8 if width.wide else 4)
        hashes = [_gnu_hash(name) & ~1 for name in defines]
        hashes[-1:] = [value | 1 for value in hashes[-1:]]
        self.gnu_hash = struct.pack("<4I", 1, first if defines else 1, 1, 0) + bloom
        self.gnu_hash += struct.pack(f"<{1 + len(hashes)}I", first if defines else 0, *hashes)


def _all(versions: Mapping[str, Sequence[str]]) -> list[str]:
    return [name for names in versions.values() for name in names]


def _sections(
    width: _Width, places: Mapping[int, int], names: int, rows: int, versions: int
) -> bytes:
    """Write the headers of the sections that hold dynamic symbols; .dynstr is the first."""

    def header(kind: int, tag: int, size: int, *, link: int = 1, info: int = 0) -> bytes:
        place = places.get(tag, 0)
        return width.section.pack(0, kind, 2, _BASE + place, place, size, link, info, 8, 0)

    found = bytes(width.section.size) + header(_SHT_STRTAB, _STRTAB, names, link=0)
    if _SYMTAB in places:
        found += header(_SHT_DYNSYM, _SYMTAB, rows) + header(_SHT_VERSYM, _VERSYM, 0)
    if _VERNEED in places:
        found += header(_SHT_VERNEED, _VERNEED, 0, info=versions)
    return found


def _gnu_hash(name: str) -> int:
    """Compute Bernstein's hash, which a GNU hash table is made by."""
    value = 5381
    for letter in name.encode():
        value = (value * 33 + letter) & 0xFFFFFFFF
    return value


def _header(width: _Width, machine: int, segments: int, sections: int, size: int) -> bytes:
    """Write the ELF header of a shared object; the program headers come right behind it."""
    ident = b"\x7fELF" + bytes([2 if width.wide else 1, 1, 1]) + bytes(9)
    start = len(ident) + width.header.size
    flags = _ARM_HARD_FLOAT if machine == ARM else 0
    # 40 where there are none is what this file has always said
    each = width.section.size if size else 40
    count = size // each
    ends = (start, width.segment.size, segments, each, count, 0)
    fields = (3, machine, 1, 0, start, sections, flags, *ends)
    return ident + width.header.pack(*fields)


def _verneed(wanted: Mapping[str, Sequence[str]], text: _Strings, *, numbered: bool) -> bytes:
    """Write the needed versions: a list of files, each with a list of version names."""
    found = b""
    numbers = {name: n for n, name in enumerate(_all(wanted), _FIRST_VERSION)}
    for index, (file, names) in enumerate(wanted.items()):
        parts = [
            struct.pack(
                "<IHHII",
                _hash(name),
                0,
                numbers[name] if numbered else _FIRST_VERSION,
                text(name),
                16 * (n < len(names) - 1),
            )
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
