"""Reads what a Mach-O file exports and binds (mach-o/loader.h, mach-o/fixup-chains.h).

With two-level names a binding says which library a symbol must come from. Exports are a trie, which
is asked name by name: that of libtorch_cpu.dylib has 394 000 names in 2 MB.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from macholib import mach_o

from generator.inspecting.binary import Window
from generator.inspecting.macho import LOADS, Slice, read_slices, said, words
from generator.inspecting.symbols import NameTable, Symbols, read_table

_INFO: Final = frozenset({mach_o.LC_DYLD_INFO, mach_o.LC_DYLD_INFO_ONLY})
#: LC_DYLD_EXPORTS_TRIE, LC_DYLD_CHAINED_FIXUPS
_TRIE, _FIXUPS = 0x80000033, 0x80000034
#: MH_TWOLEVEL
_TWO_LEVEL: Final = 0x80
#: places of BIND_SPECIAL_DYLIB_*: itself, any library, and what is weak and so need not be there
_SELF, _WEAK_LOOKUP = 0, -3
#: DYLD_CHAINED_IMPORT, _ADDEND, _ADDEND64: form of an entry
_IMPORTS: Final = {1: "I", 2: "Ii", 3: "QQ"}
_MOST_IMPORTS: Final = 1 << 22
#: bytes of a trie that are looked at for one name, and for all: real ones take 5 kB a name, and one
#: can be made to lead through all of itself for each letter
_MOST_LOOKED: Final = 1 << 18
_MOST_WALKED: Final = 1 << 24
#: ULEB128 of 64 bits
_MOST_LEB: Final = 10
#: opcodes of bindings, their upper four bits (mach-o/loader.h, BIND_OPCODE_*)
_DONE, _ORDINAL, _ORDINAL_LEB, _SPECIAL, _NAME, _TYPE, _ADDEND = range(7)
_SEGMENT, _ADD, _BIND, _BIND_ADD, _BIND_SCALED, _BIND_TIMES, _THREADED = range(7, 14)
#: how many numbers follow an opcode
_NUMBERS: Final = {_ADDEND: 1, _SEGMENT: 1, _ADD: 1, _BIND_ADD: 1, _BIND_TIMES: 2}
_BINDS: Final = frozenset({_BIND, _BIND_ADD, _BIND_SCALED, _BIND_TIMES})
_WEAK_IMPORT: Final = 1


class ExportTrie:
    """The exported names of a library, as its export trie has them.

    Raises LinkageError: when it is asked, if it makes no sense.
    """

    def __init__(self, content: bytes, path: str) -> None:
        self.content = content
        self._window = Window(io.BytesIO(), len(content), path)
        self._left = _MOST_WALKED

    def __contains__(self, name: object) -> bool:
        """Whether the library exports a name."""
        wanted = name.encode() if isinstance(name, str) else b""
        self._left = _MOST_LOOKED
        # older linkers end a name that others go on from with an edge without a text
        todo, seen = [(0, 0)] if self.content else [], set()
        while todo:
            node, done = place = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            terminal, children = self._node(node)
            if terminal and done == len(wanted):
                return True
            todo += [(p, done + len(t)) for t, p in children if wanted.startswith(t, done)]
        return False

    def __iter__(self) -> Iterator[str]:
        """Yield all names."""
        self._left = _MOST_WALKED
        todo = [(b"", 0)] if self.content else []
        # one edge leads to each node, which takes two bytes or more
        left = len(self.content) // 2 + 1
        while todo:
            prefix, node = todo.pop()
            self._walk(len(prefix) if left else self._left)
            left -= 1
            terminal, children = self._node(node)
            if terminal:
                yield prefix.decode("utf-8", "replace")
            todo += [(prefix + text, place) for text, place in children]

    def _node(self, place: int) -> tuple[bool, list[tuple[bytes, int]]]:
        """Return whether a name ends at a node, and the texts and places of its children."""
        content = self.content
        try:
            size, place = _leb(content, place)
            start = place = place + size
            count = content[place]
            place += 1
            children = []
            for _ in range(count):
                end = content.index(b"\0", place)
                text = content[place:end]
                target, place = _leb(content, end + 1)
                children.append((text, target))
        except (IndexError, ValueError) as error:
            raise self._window.bad(f"its export trie leads to {place}") from error
        self._walk(place - start)
        return bool(size), children

    def _walk(self, length: int) -> None:
        if (left := self._left - length - 1) < 0:
            raise self._window.bad("its export trie has no end")
        self._left = left


def read_macho_symbols(window: Window, machine: str) -> Symbols | None:
    """Read the symbols of one architecture's slice; None where the file has none for it.

    Raises LinkageError: a table is corrupt.
    """
    for part in read_slices(window):
        if part.machine == machine:
            return _symbols(window, part)
    return None


def _symbols(window: Window, part: Slice) -> Symbols:
    undefined: dict[str, str] = {}
    trie = b""
    loads = [(kind, said(window, part.order, c)) for kind, c in part.commands if kind in LOADS]
    libraries = [name for _, name in loads]
    for kind, content in part.commands:
        if kind in _INFO:
            *_, lazy, lazy_size, exports, size = words(window, part.order, content, 8, 10)
            _, _, bind, bind_size = words(window, part.order, content, 8, 4)
            trie = _table(window, part, exports, size, "export trie")
            for place, length in ((bind, bind_size), (lazy, lazy_size)):
                opcodes = _table(window, part, place, length, "bindings")
                undefined.update(_bound(window, part, opcodes, libraries))
        elif kind == _TRIE:
            exports, size = words(window, part.order, content, 8, 2)
            trie = _table(window, part, exports, size, "export trie")
        elif kind == _FIXUPS:
            place, size = words(window, part.order, content, 8, 2)
            fixups = _table(window, part, place, size, "fixups")
            undefined.update(_chained(window, part, fixups, libraries))
    return Symbols(
        defined=ExportTrie(trie, window.path),
        undefined=MappingProxyType(undefined),
        reexports=tuple(name for kind, name in loads if kind == mach_o.LC_REEXPORT_DYLIB),
    )


def _table(window: Window, part: Slice, offset: int, size: int, what: str) -> bytes:
    if offset + size > part.size:
        raise window.bad(f"{what} would be {size} bytes at {offset} of {part.size}")
    return read_table(window, part.start + offset, size, what)


def _library(part: Slice, libraries: list[str], ordinal: int) -> str | None:
    """Return who a symbol must come from, "" for anybody; None where it need not be there."""
    if ordinal in {_SELF, _WEAK_LOOKUP}:
        return None
    if ordinal < 0 or not part.flags & _TWO_LEVEL:
        return ""
    return libraries[ordinal - 1] if ordinal <= len(libraries) else ""


def _chained(
    window: Window, part: Slice, fixups: bytes, libraries: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield the names of DYLD_CHAINED_IMPORTs and their libraries."""
    if len(fixups) < 28:
        raise window.bad(f"fixups of only {len(fixups)} bytes")
    _, _, imports, names, count, form, packed = struct.unpack_from(part.order + "7I", fixups)
    if form not in _IMPORTS or packed:
        raise window.bad(f"imports of form {form}, names of form {packed}")
    entry = struct.Struct(part.order + _IMPORTS[form])
    if count > _MOST_IMPORTS or imports + count * entry.size > len(fixups):
        raise window.bad(f"{count} imports at {imports} of {len(fixups)} bytes of fixups")
    table = NameTable(window, fixups[names:])
    bits = 16 if form == 3 else 8
    for index in range(count):
        value = entry.unpack_from(fixups, imports + index * entry.size)[0]
        ordinal = value & ((1 << bits) - 1)
        # the highest values are the special ones, negative
        ordinal -= (1 << bits) if ordinal > (1 << bits) - 16 else 0
        weak = value >> bits & 1
        name = value >> (32 if form == 3 else 9)
        library = _library(part, libraries, ordinal)
        if library is not None and not weak:
            yield table[name], library


def _bound(
    window: Window, part: Slice, opcodes: bytes, libraries: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield the names that binding opcodes bind, and their libraries."""
    place, ordinal, name, weak = 0, 0, "", False
    table = NameTable(window, opcodes)
    try:
        while place < len(opcodes):
            kind, low = opcodes[place] >> 4, opcodes[place] & 15
            place += 1
            if kind == _ORDINAL:
                ordinal = low
            elif kind == _ORDINAL_LEB:
                ordinal, place = _leb(opcodes, place)
            elif kind == _SPECIAL:
                ordinal = low - 16 if low else 0
            elif kind == _NAME:
                name, weak = table[place], bool(low & _WEAK_IMPORT)
                place = opcodes.index(b"\0", place) + 1
            elif kind == _THREADED and low == 0:
                _, place = _leb(opcodes, place)
            elif kind > _THREADED:
                raise window.bad(f"binding opcode {kind:#x}")
            for _ in range(_NUMBERS.get(kind, 0)):
                _, place = _leb(opcodes, place)
            if kind in _BINDS and name and not weak:
                library = _library(part, libraries, ordinal)
                if library is not None:
                    yield name, library
    except (IndexError, ValueError) as error:
        raise window.bad(f"bindings end at {place}") from error


def _leb(content: bytes, place: int) -> tuple[int, int]:
    """Return a ULEB128 number and the place behind it; IndexError or ValueError where it is none.

    Signed numbers are passed over the same way, their value being of no interest.
    """
    value = 0
    for shift in range(0, 7 * _MOST_LEB, 7):
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number of more than 64 bits")
