"""Writes PE32+ libraries that Windows' loader would take: machine, imports, delay-imports, exports.

Microsoft's "PE Format"; one section holds everything, as a resource-only library has it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence

ARM64, AMD64 = 0xAA64, 0x8664
_SECTION, _FILE = 0x1000, 0x200
_DIRECTORIES = 16
_EXPORT, _IMPORT, _DELAY = 0, 1, 13
#: DLL, large address aware, executable image
_LIBRARY, _PROGRAM = 0x2022, 0x0022
#: high entropy, dynamic base, no-execute compatible: what Windows on ARM demands
_MITIGATIONS = 0x0160
_BY_NAME = b"DllMain"


class _Section:
    """The bytes of the one section, addressed by their place in the image."""

    def __init__(self) -> None:
        self.content = b""

    @property
    def end(self) -> int:
        return _SECTION + len(self.content)

    def add(self, content: bytes) -> int:
        """Append and return the relative virtual address."""
        place = self.end
        self.content += content + bytes(-len(content) % 8)
        return place

    def text(self, value: str) -> int:
        return self.add(value.encode() + b"\0")


def pe(
    imports: Sequence[str] = (),
    *,
    machine: int = ARM64,
    name: str | None = None,
    exports: Sequence[str] = (),
    delayed: Sequence[str] = (),
    program: bool = False,
    body: bytes = b"",
    asks: Mapping[str, Sequence[str]] | None = None,
) -> bytes:
    """Write a PE32+ file.

    `imports` and `delayed` are the DLLs it asks for at once and at first use; `name` is its own in
    the export table, which every DLL with `exports` has. `asks` maps a DLL of `imports` to what is
    imported from it, DllMain where it is not said.
    """
    section = _Section()
    section.add(body)
    directories: dict[int, tuple[int, int]] = {}
    if name is not None:
        directories[_EXPORT] = _export_table(section, name, sorted(exports))
    if imports:
        directories[_IMPORT] = _import_table(section, imports, asks or {})
    if delayed:
        directories[_DELAY] = _delay_table(section, delayed)
    content = section.content or bytes(8)
    padded = content + bytes(-len(content) % _FILE)
    return _headers(machine, directories, len(content), padded, program=program) + padded


def _headers(
    machine: int,
    directories: Mapping[int, tuple[int, int]],
    size: int,
    padded: bytes,
    *,
    program: bool,
) -> bytes:
    dos = b"MZ" + bytes(58) + struct.pack("<I", 64)
    # in a reproducible build the time stamp is a hash (MSVC's /Brepro)
    stamp = int.from_bytes(hashlib.sha256(padded).digest()[:4], "little")
    optional_size = 112 + 8 * _DIRECTORIES
    coff = b"PE\0\0" + struct.pack(
        "<HHIIIHH", machine, 1, stamp, 0, 0, optional_size, _PROGRAM if program else _LIBRARY
    )
    image = _SECTION + size + -size % _SECTION
    optional = struct.pack(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII",
        *(0x20B, 14, 0, 0, len(padded), 0, 0, _SECTION, 0x180000000),
        *(_SECTION, _FILE, 6, 2, 0, 0, 6, 2, 0, image, _FILE * 2, 0, 2, _MITIGATIONS),
        *(1 << 20, 1 << 12, 1 << 20, 1 << 12, 0, _DIRECTORIES),
    )
    table = b"".join(
        struct.pack("<II", *directories.get(index, (0, 0))) for index in range(_DIRECTORIES)
    )
    section = struct.pack(
        "<8sIIIIIIHHI", b".rdata", size, _SECTION, len(padded), _FILE * 2, 0, 0, 0, 0, 0x40000040
    )
    head = dos + coff + optional + table + section
    return head + bytes(_FILE * 2 - len(head))


def _import_table(
    section: _Section, names: Sequence[str], asks: Mapping[str, Sequence[str]]
) -> tuple[int, int]:
    """Write lookup and address tables, then their directory."""
    rows = b""
    for name in names:
        functions = [each.encode() for each in asks.get(name, ())] or [_BY_NAME]
        hints = [section.add(struct.pack("<H", 0) + each + b"\0") for each in functions]
        table = struct.pack(f"<{len(hints) + 1}Q", *hints, 0)
        lookup, address = section.add(table), section.add(table)
        rows += struct.pack("<IIIII", lookup, 0, 0, section.text(name), address)
    rows += bytes(20)
    return section.add(rows), len(rows)


def _delay_table(section: _Section, names: Sequence[str]) -> tuple[int, int]:
    rows = b""
    for name in names:
        hint = section.add(struct.pack("<H", 0) + _BY_NAME + b"\0")
        lookup = section.add(struct.pack("<QQ", hint, 0))
        address = section.add(struct.pack("<QQ", hint, 0))
        module = section.add(bytes(8))
        # attribute 1: the addresses are relative to the image
        rows += struct.pack("<IIIIIIII", 1, section.text(name), module, address, lookup, 0, 0, 0)
    rows += bytes(32)
    return section.add(rows), len(rows)


def _export_table(section: _Section, name: str, exports: Sequence[str]) -> tuple[int, int]:
    start = section.end
    code = section.add(b"\xc0\x03\x5f\xd6")  # ret
    functions = section.add(b"".join(struct.pack("<I", code) for _ in exports))
    names = section.add(b"".join(struct.pack("<I", section.text(each)) for each in exports))
    ordinals = section.add(b"".join(struct.pack("<H", index) for index in range(len(exports))))
    count = len(exports)
    place = section.add(
        struct.pack(
            "<IIHHIIIIIII",
            0,
            0,
            0,
            0,
            section.text(name),
            1,
            count,
            count,
            functions,
            names,
            ordinals,
        )
    )
    return place, section.end - start
