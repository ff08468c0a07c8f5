"""Reads the dynamic section of an ELF file (System V gABI chapter 5; GNU symbol versions: LSB)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final, NamedTuple

from elftools.elf.enums import ENUM_D_TAG, ENUM_E_MACHINE, ENUM_P_TYPE_BASE

from generator.inspecting.binary import Binary, Load, Window

MAGIC: Final = b"\x7fELF"
_MACHINES: Final = {
    number: name.removeprefix("EM_").lower()
    for name, number in ENUM_E_MACHINE.items()
    if name.startswith("EM_")
}
#: machines whose 32-bit form (ILP32, x32) is another platform
_WIDE: Final = frozenset({ENUM_E_MACHINE["EM_AARCH64"], ENUM_E_MACHINE["EM_X86_64"]})
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_GNU_STACK = (
    ENUM_P_TYPE_BASE[name] for name in ("PT_LOAD", "PT_DYNAMIC", "PT_INTERP", "PT_GNU_STACK")
)
#: segment flag: its bytes may be executed
_PF_X: Final = 1
_DF_TEXTREL: Final = 4
(
    _NULL,
    _NEEDED,
    _STRTAB,
    _STRSZ,
    _SONAME,
    _RPATH,
    _RUNPATH,
    _TEXTREL,
    _FLAGS,
    _VERNEED,
    _VERNEEDNUM,
) = (
    ENUM_D_TAG[f"DT_{name}"]
    for name in (
        "NULL",
        "NEEDED",
        "STRTAB",
        "STRSZ",
        "SONAME",
        "RPATH",
        "RUNPATH",
        "TEXTREL",
        "FLAGS",
        "VERNEED",
        "VERNEEDNUM",
    )
)
_SYMBOL_VERSION: Final = re.compile(
    r"(?P<kind>GLIBC|GLIBCXX|CXXABI|GCC)_(?P<version>\d{1,9}(\.\d{1,9})*)", re.ASCII
)
#: a library whose relocations are packed asks for this name, not for a number; glibc has it since
#: 2.36 (its NEWS, "Support for DT_RELR relative relocation format")
_PACKED_RELOCATIONS: Final = ("GLIBC_ABI_DT_RELR", "GLIBC_2.36")
#: real files: 12 program headers and 60 needed versions; more than this is corrupt
_MOST_HEADERS: Final = 512
_MOST_NEEDED: Final = 1024
_MOST_VERSIONS: Final = 8192


class _Segment(NamedTuple):
    kind: int
    flags: int
    offset: int
    address: int
    size: int


class _Layout(NamedTuple):
    """Byte order and word size decide where fields stand."""

    order: str
    wide: bool
    machine: int
    segments: tuple[_Segment, ...]


def read_elf(window: Window) -> Binary:
    """Read an ELF file's machine, dynamic section and needed symbol versions.

    Raises:
        LinkageError: a header is corrupt; the message names the file and what is wrong.

    """
    layout = _layout(window)
    machine = _MACHINES.get(layout.machine, f"machine {layout.machine}") + _other_form(layout)
    executable = any(segment.kind == _PT_INTERP for segment in layout.segments)
    stack = any(s.kind == _PT_GNU_STACK and s.flags & _PF_X for s in layout.segments)
    dynamic = next((s for s in layout.segments if s.kind == _PT_DYNAMIC), None)
    if dynamic is None:
        return Binary(format="elf", machine=machine, executable=executable, executable_stack=stack)
    tags = list(_tags(window, layout, dynamic))
    needed = [value for tag, value in tags if tag == _NEEDED]
    if len(needed) > _MOST_NEEDED:
        raise window.bad(f"{len(needed)} needed libraries")
    strings = _Strings(window, layout, tags)
    single = dict(reversed(tags))
    runpath = single.get(_RUNPATH)
    rpath = single.get(_RPATH)
    versions = _versions(window, layout, single, strings)
    return Binary(
        format="elf",
        machine=machine,
        executable=executable,
        name=strings[single[_SONAME]] if _SONAME in single else None,
        needs=tuple(Load(name=strings[value]) for value in needed),
        rpath=_folders(strings[rpath]) if rpath is not None else (),
        runpath=_folders(strings[runpath]) if runpath is not None else None,
        floor=versions.pop("GLIBC", ()),
        versions=MappingProxyType(versions),
        text_relocations=_TEXTREL in single or bool(single.get(_FLAGS, 0) & _DF_TEXTREL),
        executable_stack=stack,
    )


def _other_form(layout: _Layout) -> str:
    """Tell forms of a machine apart that its loader does not take for each other."""
    order = " (big-endian)" if layout.order == ">" else ""
    return order + (" (32-bit)" if layout.machine in _WIDE and not layout.wide else "")


def _folders(text: str) -> tuple[str, ...]:
    return tuple(folder for folder in text.split(":") if folder)


def _layout(window: Window) -> _Layout:
    ident = window.read(0, 16, "ELF identification")
    if ident[4] not in {1, 2} or ident[5] not in {1, 2}:
        raise window.bad(f"class {ident[4]} and byte order {ident[5]} do not exist")
    wide, order = ident[4] == 2, "<" if ident[5] == 1 else ">"
    header = window.read(16, 48 if wide else 36, "ELF header")
    fields = struct.unpack(order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"), header)
    machine, table, each, count = fields[1], fields[4], fields[8], fields[9]
    form = struct.Struct(order + ("IIQQQQQQ" if wide else "IIIIIIII"))
    if count > _MOST_HEADERS or (count and each < form.size):
        raise window.bad(f"{count} program headers of {each} bytes")
    segments = []
    for index in range(count):
        row = form.unpack(window.read(table + index * each, form.size, "program header"))
        # in the 64-bit form the flags come second, for alignment
        segments.append(
            _Segment(row[0], row[1], row[2], row[3], row[5])
            if wide
            else _Segment(row[0], row[6], row[1], row[2], row[4])
        )
    return _Layout(order, wide, machine, tuple(segments))


def _tags(window: Window, layout: _Layout, dynamic: _Segment) -> Iterator[tuple[int, int]]:
    form = struct.Struct(layout.order + ("qQ" if layout.wide else "iI"))
    content = window.read(dynamic.offset, dynamic.size, "dynamic section")
    whole = len(content) - len(content) % form.size
    for tag, value in form.iter_unpack(content[:whole]):
        if tag == _NULL:
            return
        yield tag, value


class _Strings:
    """The dynamic string table, read text by text: torch's has 60 MB of symbol names."""

    def __init__(self, window: Window, layout: _Layout, tags: list[tuple[int, int]]) -> None:
        table = dict(tags)
        self._window = window
        self._size = table.get(_STRSZ, 0)
        self._start = _offset(window, layout, table.get(_STRTAB, 0), "string table")

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < self._size:
            raise self._window.bad(f"text {index} of a string table of {self._size} bytes")
        return self._window.text(self._start + index, self._size - index, "a text")


def _offset(window: Window, layout: _Layout, address: int, what: str) -> int:
    for segment in layout.segments:
        if segment.kind == _PT_LOAD and 0 <= address - segment.address < segment.size:
            return segment.offset + address - segment.address
    raise window.bad(f"no segment holds the {what} at address {address:#x}")


def _versions(
    window: Window, layout: _Layout, tags: dict[int, int], strings: _Strings
) -> dict[str, tuple[int, ...]]:
    """Return the highest needed version per kind, from DT_VERNEED's two linked lists."""
    highest: dict[str, tuple[int, ...]] = {}
    if _VERNEED not in tags:
        return highest
    entry = _offset(window, layout, tags[_VERNEED], "needed versions")
    seen = 0
    for _ in range(min(tags.get(_VERNEEDNUM, 0), _MOST_VERSIONS)):
        _, count, _, first, following = struct.unpack(
            layout.order + "HHIII", window.read(entry, 16, "needed version")
        )
        part = entry + first
        for _ in range(count):
            if (seen := seen + 1) > _MOST_VERSIONS:
                raise window.bad(f"more than {_MOST_VERSIONS} needed versions")
            _, _, _, name, onwards = struct.unpack(
                layout.order + "IHHII", window.read(part, 16, "needed version")
            )
            said = strings[name]
            if said == _PACKED_RELOCATIONS[0]:
                said = _PACKED_RELOCATIONS[1]
            if (match := _SYMBOL_VERSION.fullmatch(said)) is not None:
                version = tuple(int(number) for number in match["version"].split("."))
                highest[match["kind"]] = max(highest.get(match["kind"], ()), version)
            if onwards == 0:
                break
            part += onwards
        if following == 0:
            break
        entry += following
    return highest
