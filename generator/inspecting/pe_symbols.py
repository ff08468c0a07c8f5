"""Reads what a PE file exports and imports by name (Microsoft's PE Format: .edata, .idata)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from generator.inspecting.binary import Window
from generator.inspecting.pe import (
    EXPORTS,
    IMPORTS,
    directory,
    directory_rows,
    file_offset,
    read_image,
    read_name,
)
from generator.inspecting.symbols import Symbols, read_table

#: ordinals have 16 bits, and each name one of them
_MOST_NAMES: Final = 1 << 16
#: MSVC cuts decorated names off at 4096 characters
_LONGEST: Final = 4097


def read_pe_symbols(window: Window) -> Symbols | None:
    """Read exports and imports; None for what is no PE file.

    Delay-loaded DLLs are not among the imports: the library loads without them.
    Raises LinkageError: a table is corrupt.
    """
    if (image := read_image(window)) is None:
        return None
    undefined: dict[str, str] = {}
    seen = 0
    for lookup, _, _, name, address in directory_rows(window, image, IMPORTS, "<5I"):
        library = read_name(window, image, name, "name of an imported library")
        place = file_offset(window, image, lookup or address, "import lookup table")
        for hint in _hints(window, place, wide=image.wide):
            if (seen := seen + 1) > _MOST_NAMES:
                raise window.bad(f"more than {_MOST_NAMES} imports")
            said = read_name(window, image, hint + 2, "name of an import", _LONGEST)
            undefined[said] = library
    defined: frozenset[str] = frozenset()
    if (exports := directory(image, EXPORTS)) != 0:
        place = file_offset(window, image, exports, "export directory")
        count, names = struct.unpack("<24xI4xI", window.read(place, 36, "export directory"))
        if count > _MOST_NAMES:
            raise window.bad(f"{count} exported names")
        if count:
            start = file_offset(window, image, names, "exported names")
            rows = read_table(window, start, 4 * count, "exported names")
            defined = frozenset(
                read_name(window, image, place, "exported name", _LONGEST)
                for place in struct.unpack(f"<{count}I", rows)
            )
    return Symbols(defined=defined, undefined=MappingProxyType(undefined))


def _hints(window: Window, place: int, *, wide: bool) -> Iterator[int]:
    """Yield the addresses in an import lookup table up to its end; ordinals are passed over."""
    form, by_ordinal = ("<Q", 1 << 63) if wide else ("<I", 1 << 31)
    size = struct.calcsize(form)
    for index in range(_MOST_NAMES):
        content = window.read(place + index * size, size, "import lookup table")
        (value,) = struct.unpack(form, content)
        if not value:
            return
        if not value & by_ordinal:
            yield value
    raise window.bad(f"more than {_MOST_NAMES} imports of one library")
