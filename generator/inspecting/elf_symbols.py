"""Reads the dynamic symbol table of an ELF file (gABI chapter 5; GNU hash and versions: LSB)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from elftools.elf.enums import ENUM_SH_TYPE_BASE

from generator.inspecting.binary import Window
from generator.inspecting.elf import (
    DT,
    Head,
    Layout,
    dynamic_tags,
    file_offset,
    needed_versions,
    read_head,
    read_layout,
)
from generator.inspecting.symbols import NameTable, Symbols, read_table

_SHT: Final[Mapping[str, int]] = ENUM_SH_TYPE_BASE
_GLOBAL, _LOCAL = 1, 0
#: index of a symbol that is not defined here
_UNDEF: Final = 0
#: versym's highest bit hides a symbol from links; the rest is the version's index
_HIDDEN: Final = 0x8000
#: real files: 40 sections, 50 000 symbols
_MOST_SECTIONS: Final = 1024
_MOST_SYMBOLS: Final = 1 << 23


class _Tables(NamedTuple):
    """Where the tables are in the file; a place of 0 stands for a table that it has not."""

    symbols: int
    symbols_count: int
    names: int
    names_size: int
    versions: int
    needed: int
    needed_count: int
    defined: int
    defined_count: int


def read_elf_symbols(window: Window, *, headers: bool = False) -> Symbols:
    """Read the dynamic symbols of an ELF file; none for one that is linked statically.

    With ``headers``, the section headers are gone by where there are any. No loader does, but what
    a loader goes by stands in the midst of a library of 300 MB (BOLT moves its program headers).
    Raises LinkageError: the tables are corrupt.
    """
    head = read_head(window)
    tables = _by_headers(window, head) if headers else None
    if tables is None and (tables := _by_tags(window, read_layout(window))) is None:
        return Symbols(defined=frozenset(), undefined=MappingProxyType({}))
    names = NameTable(window, read_table(window, tables.names, tables.names_size, "symbol names"))
    files, needed = _needed(window, head, tables, names)
    defined, undefined = set(), {}
    for symbol in _symbols(window, head, tables):
        if symbol.section != _UNDEF:
            if symbol.bind != _LOCAL:
                defined.add(names[symbol.name])
        elif symbol.bind == _GLOBAL and symbol.name:
            undefined[names[symbol.name]] = files.get(symbol.version, "")
    return Symbols(
        defined=frozenset(defined),
        undefined=MappingProxyType(undefined),
        versions=frozenset(_defined_versions(window, head, tables, names)),
        needed_versions=needed,
    )


class _Symbol(NamedTuple):
    name: int
    bind: int
    section: int
    version: int


def _symbols(window: Window, head: Head, tables: _Tables) -> Iterator[_Symbol]:
    # in the 64-bit form info, other and section come before value and size, for alignment
    form = struct.Struct(head.order + ("IBBH16x" if head.wide else "I8xBBH"))
    rows = read_table(window, tables.symbols, tables.symbols_count * form.size, "dynamic symbols")
    versions = (
        read_table(window, tables.versions, 2 * tables.symbols_count, "symbol versions")
        if tables.versions
        else bytes(2 * tables.symbols_count)
    )
    numbers = struct.unpack(f"{head.order}{tables.symbols_count}H", versions)
    for (name, info, _, section), version in zip(form.iter_unpack(rows), numbers, strict=True):
        yield _Symbol(name, info >> 4, section, version & ~_HIDDEN)


def _by_headers(window: Window, head: Head) -> _Tables | None:
    start, each, count = head.sections
    # name, kind, flags, address, offset, size, link, info, alignment, entry size
    form = struct.Struct(head.order + ("IIQQQQIIQQ" if head.wide else "10I"))
    if not start or not count:
        return None
    if count > _MOST_SECTIONS or each < form.size:
        raise window.bad(f"{count} section headers of {each} bytes")
    content = read_table(window, start, count * each, "section headers")
    rows = [form.unpack_from(content, index * each) for index in range(count)]
    kinds = {row[1]: row for row in reversed(rows)}
    symbols = kinds.get(_SHT["SHT_DYNSYM"])
    if symbols is None or symbols[6] >= count:
        return None
    size = 24 if head.wide else 16
    names = rows[symbols[6]]

    def place(kind: int) -> tuple[int, int]:
        row = kinds.get(kind)
        return (row[4], row[7]) if row is not None else (0, 0)

    return _Tables(
        symbols[4],
        _at_most(window, symbols[5] // size),
        names[4],
        names[5],
        place(_SHT["SHT_GNU_versym"])[0],
        *place(_SHT["SHT_GNU_verneed"]),
        *place(_SHT["SHT_GNU_verdef"]),
    )


def _by_tags(window: Window, layout: Layout) -> _Tables | None:
    tags = dict(reversed(dynamic_tags(window, layout)))
    if DT["DT_SYMTAB"] not in tags:
        return None

    def place(tag: int, what: str) -> int:
        return file_offset(window, layout, tags[tag], what) if tag in tags else 0

    symbols = place(DT["DT_SYMTAB"], "dynamic symbols")
    if DT["DT_HASH"] in tags:
        table = place(DT["DT_HASH"], "hash table")
        _, count = struct.unpack(layout.order + "II", window.read(table, 8, "hash table"))
    else:
        count = _hashed(window, layout, place(DT["DT_GNU_HASH"], "hash table"))
        known = _by_headers(window, layout.head)
        # a GNU hash table knows only what is defined, and where nothing is, not even how many
        if known is not None and known.symbols == symbols:
            count = max(count, known.symbols_count)
    return _Tables(
        symbols,
        _at_most(window, count),
        place(DT["DT_STRTAB"], "symbol names"),
        tags.get(DT["DT_STRSZ"], 0),
        place(DT["DT_VERSYM"], "symbol versions"),
        place(DT["DT_VERNEED"], "needed versions"),
        tags.get(DT["DT_VERNEEDNUM"], 0),
        place(DT["DT_VERDEF"], "defined versions"),
        tags.get(DT["DT_VERDEFNUM"], 0),
    )


def _at_most(window: Window, count: int) -> int:
    if count > _MOST_SYMBOLS:
        raise window.bad(f"{count} dynamic symbols")
    return count


def _hashed(window: Window, layout: Layout, table: int) -> int:
    """Count symbols by a GNU hash table: its last chain ends with the last of them."""
    if not table:
        return 0
    buckets, first, words, _ = struct.unpack(
        layout.order + "4I", window.read(table, 16, "hash table")
    )
    start = table + 16 + words * (8 if layout.wide else 4)
    if max(buckets, words) > _MOST_SYMBOLS:
        raise window.bad(f"a hash table of {buckets} buckets and {words} words")
    content = read_table(window, start, 4 * buckets, "hash buckets")
    last = max(struct.unpack(f"{layout.order}{buckets}I", content), default=0)
    if last < first:
        return int(first)
    while last < _MOST_SYMBOLS:
        place = start + 4 * (buckets + last - first)
        (value,) = struct.unpack(layout.order + "I", window.read(place, 4, "hash chain"))
        last += 1
        if value & 1:
            break
    return int(last)


def _needed(
    window: Window, head: Head, tables: _Tables, names: NameTable
) -> tuple[dict[int, str], Mapping[str, frozenset[str]]]:
    """Return the file of each needed version's index, and the versions that each must define."""
    files: dict[int, str] = {}
    needed: dict[str, set[str]] = {}
    if tables.needed:
        for each in needed_versions(window, head.order, tables.needed, tables.needed_count):
            files[each.number & ~_HIDDEN] = names[each.file]
            needed.setdefault(names[each.file], set()).add(names[each.name])
    return files, MappingProxyType({file: frozenset(found) for file, found in needed.items()})


def _defined_versions(
    window: Window, head: Head, tables: _Tables, names: NameTable
) -> Iterator[str]:
    """Walk DT_VERDEF's list; the first name of an entry is its own, the rest what it extends."""
    place = tables.defined
    for _ in range(min(tables.defined_count, _MOST_SECTIONS) if place else 0):
        _, _, _, _, _, first, following = struct.unpack(
            head.order + "HHHHIII", window.read(place, 20, "defined version")
        )
        name, _ = struct.unpack(head.order + "II", window.read(place + first, 8, "defined version"))
        yield names[name]
        if following == 0:
            return
        place += following
