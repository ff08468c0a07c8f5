"""Writes what dyld binds and exports by (mach-o/loader.h, mach-o/fixup-chains.h)."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping, Sequence

#: LC_DYLD_INFO_ONLY, LC_DYLD_EXPORTS_TRIE, LC_DYLD_CHAINED_FIXUPS
DYLD_INFO, EXPORTS_TRIE, CHAINED_FIXUPS = 0x80000022, 0x80000033, 0x80000034
_FLAT = -2


def export_trie(names: Sequence[str]) -> bytes:
    """Write the trie of some names, all of them functions of the library's own."""
    if not names:
        return b""
    nodes: list[tuple[bytes, list[tuple[str, int]]]] = []

    def node(rests: Sequence[str]) -> int:
        place = len(nodes)
        nodes.append((b"", []))
        terminal = bytes([2, 0, 16]) if "" in rests else b"\0"
        children = []
        for letter in sorted({rest[0] for rest in rests if rest}):
            same = [rest for rest in rests if rest.startswith(letter)]
            edge = _common(same[0], same[-1])
            children.append((edge, node([rest[len(edge) :] for rest in same])))
        nodes[place] = terminal, children
        return place

    node(sorted(set(names)))
    sizes = [
        len(t) + 1 + sum(len(e.encode()) + 1 + 4 for e, _ in children) for t, children in nodes
    ]
    starts = [sum(sizes[:index]) for index in range(len(nodes))]
    return b"".join(
        terminal
        + bytes([len(children)])
        + b"".join(edge.encode() + b"\0" + _padded(starts[child]) for edge, child in children)
        for terminal, children in nodes
    )


def _common(first: str, last: str) -> str:
    """Return how the first and the last of sorted texts, and so all of them, begin."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(letter for letter, _ in same)


def _padded(number: int) -> bytes:
    """Write a ULEB128 number in four bytes, so that places do not depend on each other."""
    return bytes([number >> shift & 0x7F | (0x80 if shift < 21 else 0) for shift in (0, 7, 14, 21)])


def bindings(binds: Mapping[str, str], weak: frozenset[str], loads: Sequence[str]) -> bytes:
    """Write binding opcodes; each symbol comes from a load, or from anywhere."""
    found = b""
    for symbol, library in binds.items():
        ordinal = loads.index(library) + 1 if library else _FLAT
        found += bytes([0x30 | ordinal & 15]) if ordinal < 0 else b"\x20" + _padded(ordinal)
        found += bytes([0x40 | (symbol in weak)]) + symbol.encode() + b"\0"
        found += bytes([0x51, 0x71]) + _padded(8) + b"\x90"
    return found + bytes(8 - len(found) % 8)


def chained_fixups(
    binds: Mapping[str, str], weak: frozenset[str], loads: Sequence[str], form: int
) -> bytes:
    """Write the imports of chained fixups in one of their three forms; the chains are empty."""
    names, rows = b"\0", b""
    for symbol, library in binds.items():
        ordinal = loads.index(library) + 1 if library else _FLAT
        bits = 16 if form == 3 else 8
        place = len(names) << (32 if form == 3 else 9)
        value = ordinal & ((1 << bits) - 1) | (symbol in weak) << bits | place
        rows += struct.pack({1: "<I", 2: "<Ii", 3: "<QQ"}[form], *(value, 0)[: 1 + (form > 1)])
        names += symbol.encode() + b"\0"
    starts = struct.pack("<I", 0)
    head = struct.pack(
        "<7I", 0, 28, 28 + len(starts), 28 + len(starts) + len(rows), len(binds), form, 0
    )
    content = head + starts + rows + names
    return content + bytes(-len(content) % 8)
