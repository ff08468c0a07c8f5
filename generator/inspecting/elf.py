"""Reads the dynamic section of an ELF file (System V gABI chapter 5; GNU symbol versions: LSB)."""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator, Mapping
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
#: constants by their names in the gABI
PT: Final[Mapping[str, int]] = ENUM_P_TYPE_BASE
DT: Final[Mapping[str, int]] = ENUM_D_TAG
#: segment flag: its bytes may be executed
_PF_X: Final = 1
_DF_TEXTREL: Final = 4
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


class Segment(NamedTuple):
    """One program header."""

    kind: int
    flags: int
    offset: int
    address: int
    size: int


class Head(NamedTuple):
    """The ELF header: byte order and word size decide where fields stand."""

    order: str
    wide: bool
    machine: int
    #: where the program headers are, the bytes of each, and how many
    programs: tuple[int, int, int]
    #: the same of the section headers
    sections: tuple[int, int, int]


class Layout(NamedTuple):
    """An ELF file's header and its program headers."""

    head: Head
    segments: tuple[Segment, ...]

    @property
    def order(self) -> str:
        """As struct writes it."""
        return self.head.order

    @property
    def wide(self) -> bool:
        """Whether words have 64 bits."""
        return self.head.wide

    def of(self, kind: int) -> Segment | None:
        """Return the first segment of a kind."""
        return next((segment for segment in self.segments if segment.kind == kind), None)


def read_elf(window: Window) -> Binary:
    """Read an ELF file's machine, dynamic section and needed symbol versions.

    Raises LinkageError: a header is corrupt; the message names the file and what is wrong.
    """
    layout = read_layout(window)
    number = layout.head.machine
    machine = _MACHINES.get(number, f"machine {number}") + _other_form(layout.head)
    executable = any(segment.kind == PT["PT_INTERP"] for segment in layout.segments)
    stack = any(s.kind == PT["PT_GNU_STACK"] and s.flags & _PF_X for s in layout.segments)
    if layout.of(PT["PT_DYNAMIC"]) is None:
        return Binary(format="elf", machine=machine, executable=executable, executable_stack=stack)
    tags = dynamic_tags(window, layout)
    needed = [value for tag, value in tags if tag == DT["DT_NEEDED"]]
    if len(needed) > _MOST_NEEDED:
        raise window.bad(f"{len(needed)} needed libraries")
    strings = Strings.of(window, layout, dict(tags))
    single = dict(reversed(tags))
    runpath = single.get(DT["DT_RUNPATH"])
    rpath = single.get(DT["DT_RPATH"])
    flags = single.get(DT["DT_FLAGS"], 0)
    versions = _versions(window, layout, single, strings)
    return Binary(
        format="elf",
        machine=machine,
        executable=executable,
        name=strings[single[DT["DT_SONAME"]]] if DT["DT_SONAME"] in single else None,
        needs=tuple(Load(name=strings[value]) for value in needed),
        rpath=_folders(strings[rpath]) if rpath is not None else (),
        runpath=_folders(strings[runpath]) if runpath is not None else None,
        floor=versions.pop("GLIBC", ()),
        versions=MappingProxyType(versions),
        text_relocations=DT["DT_TEXTREL"] in single or bool(flags & _DF_TEXTREL),
        executable_stack=stack,
    )


def _other_form(head: Head) -> str:
    """Tell forms of a machine apart that its loader does not take for each other."""
    order = " (big-endian)" if head.order == ">" else ""
    return order + (" (32-bit)" if head.machine in _WIDE and not head.wide else "")


def _folders(text: str) -> tuple[str, ...]:
    return tuple(folder for folder in text.split(":") if folder)


def read_head(window: Window) -> Head:
    """Read the ELF header; LinkageError where it is corrupt."""
    ident = window.read(0, 16, "ELF identification")
    if ident[4] not in {1, 2} or ident[5] not in {1, 2}:
        raise window.bad(f"class {ident[4]} and byte order {ident[5]} do not exist")
    wide, order = ident[4] == 2, "<" if ident[5] == 1 else ">"
    header = window.read(16, 48 if wide else 36, "ELF header")
    fields = struct.unpack(order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"), header)
    programs, sections = (fields[4], *fields[8:10]), (fields[5], *fields[10:12])
    return Head(order, wide, fields[1], programs, sections)


def read_layout(window: Window) -> Layout:
    """Read the ELF header and the program headers; LinkageError where they are corrupt."""
    head = read_head(window)
    table, each, count = head.programs
    form = struct.Struct(head.order + ("IIQQQQQQ" if head.wide else "IIIIIIII"))
    if count > _MOST_HEADERS or (count and each < form.size):
        raise window.bad(f"{count} program headers of {each} bytes")
    segments = []
    for index in range(count):
        row = form.unpack(window.read(table + index * each, form.size, "program header"))
        # in the 64-bit form the flags come second, for alignment
        segments.append(
            Segment(row[0], row[1], row[2], row[3], row[5])
            if head.wide
            else Segment(row[0], row[6], row[1], row[2], row[4])
        )
    return Layout(head, tuple(segments))


def dynamic_tags(window: Window, layout: Layout) -> list[tuple[int, int]]:
    """Read the dynamic section up to its end mark; nothing where there is none."""
    if (dynamic := layout.of(PT["PT_DYNAMIC"])) is None:
        return []
    form = struct.Struct(layout.order + ("qQ" if layout.wide else "iI"))
    content = window.read(dynamic.offset, dynamic.size, "dynamic section")
    whole = len(content) - len(content) % form.size
    rows = form.iter_unpack(content[:whole])
    return list(itertools.takewhile(lambda row: row[0] != DT["DT_NULL"], rows))


class Strings:
    """A string table, read text by text: torch's has 6 MB of symbol names."""

    def __init__(self, window: Window, start: int, size: int) -> None:
        self._window, self._start, self._size = window, start, size

    @classmethod
    def of(cls, window: Window, layout: Layout, tags: Mapping[int, int]) -> Strings:
        """Return the table that the dynamic section names."""
        start = file_offset(window, layout, tags.get(DT["DT_STRTAB"], 0), "string table")
        return cls(window, start, tags.get(DT["DT_STRSZ"], 0))

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < self._size:
            raise self._window.bad(f"text {index} of a string table of {self._size} bytes")
        return self._window.text(self._start + index, self._size - index, "a text")


def file_offset(window: Window, layout: Layout, address: int, what: str) -> int:
    """Return where in the file an address lies; LinkageError where nothing is loaded there."""
    for segment in layout.segments:
        if segment.kind == PT["PT_LOAD"] and 0 <= address - segment.address < segment.size:
            return segment.offset + address - segment.address
    raise window.bad(f"no segment holds the {what} at address {address:#x}")


def _versions(
    window: Window, layout: Layout, tags: dict[int, int], strings: Strings
) -> dict[str, tuple[int, ...]]:
    """Return the highest needed version per kind."""
    highest: dict[str, tuple[int, ...]] = {}
    if DT["DT_VERNEED"] not in tags:
        return highest
    place = file_offset(window, layout, tags[DT["DT_VERNEED"]], "needed versions")
    for each in needed_versions(window, layout.order, place, tags.get(DT["DT_VERNEEDNUM"], 0)):
        said = strings[each.name]
        if said == _PACKED_RELOCATIONS[0]:
            said = _PACKED_RELOCATIONS[1]
        if (match := _SYMBOL_VERSION.fullmatch(said)) is not None:
            version = tuple(int(number) for number in match["version"].split("."))
            highest[match["kind"]] = max(highest.get(match["kind"], ()), version)
    return highest


class NeededVersion(NamedTuple):
    """A symbol version that a file must define; ``file`` and ``name`` are places of texts."""

    file: int
    name: int
    #: by which .gnu.version refers to it
    number: int


def needed_versions(window: Window, order: str, place: int, count: int) -> Iterator[NeededVersion]:
    """Walk DT_VERNEED's two linked lists; LinkageError where they make no sense."""
    seen = 0
    for _ in range(min(count, _MOST_VERSIONS)):
        _, parts, file, first, following = struct.unpack(
            order + "HHIII", window.read(place, 16, "needed version")
        )
        part = place + first
        for _ in range(parts):
            if (seen := seen + 1) > _MOST_VERSIONS:
                raise window.bad(f"more than {_MOST_VERSIONS} needed versions")
            _, _, number, name, onwards = struct.unpack(
                order + "IHHII", window.read(part, 16, "needed version")
            )
            yield NeededVersion(file, name, number)
            if onwards == 0:
                break
            part += onwards
        if following == 0:
            break
        place += following
