"""Reads the load commands of a Mach-O file, fat files too (Apple's mach-o/loader.h and fat.h)."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from macholib import mach_o

from generator.inspecting.binary import Binary, Load, Window

_THIN: Final = {
    struct.pack(">I", mach_o.MH_MAGIC_64): ">",
    struct.pack("<I", mach_o.MH_MAGIC_64): "<",
    struct.pack(">I", mach_o.MH_MAGIC): ">",
    struct.pack("<I", mach_o.MH_MAGIC): "<",
}
_FAT: Final = {
    struct.pack(">I", mach_o.FAT_MAGIC): ">IIIII",
    struct.pack(">I", mach_o.FAT_MAGIC_64): ">IIQQII",
}
#: also the first bytes of a Java class file, whose second word is a version of 45 or more
MAGICS: Final = frozenset((*_THIN, *_FAT))
_MOST_SLICES: Final = 16
_MOST_COMMANDS: Final = 4096
_ABI64: Final = 0x01000000
#: mach/machine.h; macholib has them as "ARM64", "x86_64"
_MACHINES: Final = {number: name.lower() for number, name in mach_o.CPU_TYPE_NAMES.items()}
LOADS: Final = {
    mach_o.LC_LOAD_DYLIB,
    mach_o.LC_LOAD_WEAK_DYLIB,
    mach_o.LC_REEXPORT_DYLIB,
    mach_o.LC_LOAD_UPWARD_DYLIB,
}
_PLATFORM_MACOS: Final = 1
#: MH_ALLOW_STACK_EXECUTION
_STACK_EXECUTION: Final = 0x20000


class Slice(NamedTuple):
    """One architecture of a file, with its load commands as they stand there."""

    #: where it begins in the file; offsets in its commands count from there
    start: int
    size: int
    order: str
    cpu: int
    kind: int
    flags: int
    #: command and all of its bytes
    commands: tuple[tuple[int, bytes], ...]

    @property
    def machine(self) -> str:
        """As `Binary.machine` has it."""
        return str(_MACHINES.get(self.cpu, f"cpu {self.cpu:#x}"))


def read_macho(window: Window) -> tuple[Binary, ...]:
    """Read every architecture's slice of a Mach-O file; none for a Java class file.

    Raises LinkageError: a header is corrupt; the message names the file and what is wrong.
    """
    return tuple(_binary(window, part) for part in read_slices(window))


def read_slices(window: Window) -> tuple[Slice, ...]:
    """Read the headers and load commands of every architecture; raises as `read_macho` does."""
    magic = window.read(0, 4, "magic")
    if magic in _THIN:
        return (_slice(window, 0, window.size),)
    (count,) = struct.unpack(">I", window.read(4, 4, "fat header"))
    if count > _MOST_SLICES:
        return ()
    form = struct.Struct(_FAT[magic])
    slices = []
    for index in range(count):
        row = form.unpack(window.read(8 + index * form.size, form.size, "fat architecture"))
        offset, size = row[2], row[3]
        if offset + size > window.size:
            raise window.bad(f"architecture {index} would be {size} bytes at {offset}")
        slices.append(_slice(window, offset, size))
    return tuple(slices)


def _slice(window: Window, start: int, size: int) -> Slice:
    order = _THIN.get(window.read(start, 4, "magic"))
    if order is None:
        raise window.bad(f"no Mach-O header at {start}")
    _, cpu, _, kind, count, length, flags = struct.unpack(
        order + "7I", window.read(start, 28, "Mach-O header")
    )
    body = start + (32 if cpu & _ABI64 else 28)
    if count > _MOST_COMMANDS or body + length > start + size:
        raise window.bad(f"{count} load commands of {length} bytes")
    content = window.read(body, length, "load commands")
    commands = []
    offset = 0
    for _ in range(count):
        if offset + 8 > len(content):
            raise window.bad(f"a load command at {offset} of {len(content)} bytes")
        command, extent = struct.unpack_from(order + "II", content, offset)
        if extent < 8 or offset + extent > len(content):
            raise window.bad(f"a load command of {extent} bytes at {offset}")
        commands.append((command, content[offset : offset + extent]))
        offset += extent
    return Slice(start, size, order, cpu, kind, flags, tuple(commands))


def _binary(window: Window, part: Slice) -> Binary:
    """Gather what the load commands say; those that do not decide on loading are passed over."""
    name: str | None = None
    needs: list[Load] = []
    rpaths: list[str] = []
    floor: tuple[int, ...] = ()
    for command, content in part.commands:
        if command in LOADS:
            *_, compatibility = words(window, part.order, content, 12, 3)
            needs.append(
                Load(
                    name=said(window, part.order, content),
                    compatibility=_version(compatibility),
                    weak=command == mach_o.LC_LOAD_WEAK_DYLIB,
                )
            )
        elif command == mach_o.LC_ID_DYLIB:
            name = said(window, part.order, content)
        elif command == mach_o.LC_RPATH:
            rpaths.append(said(window, part.order, content))
        elif command == mach_o.LC_BUILD_VERSION:
            platform, lowest = words(window, part.order, content, 8, 2)
            floor = _version(lowest)[:2] if platform == _PLATFORM_MACOS else floor
        elif command == mach_o.LC_VERSION_MIN_MACOSX:
            floor = _version(*words(window, part.order, content, 8, 1))[:2]
    return Binary(
        format="macho",
        machine=part.machine,
        name=name,
        needs=tuple(needs),
        rpath=tuple(rpaths),
        executable=part.kind == mach_o.MH_EXECUTE,
        floor=floor,
        executable_stack=bool(part.flags & _STACK_EXECUTION),
    )


def said(window: Window, order: str, content: bytes) -> str:
    """Return the text whose offset stands right after command and size (lc_str)."""
    (offset,) = words(window, order, content, 8, 1)
    if not 12 <= offset < len(content):
        raise window.bad(f"a text at {offset} of a load command of {len(content)} bytes")
    return content[offset:].split(b"\0", 1)[0].decode("utf-8", "replace")


def words(window: Window, order: str, content: bytes, offset: int, count: int) -> tuple[int, ...]:
    """Return 32-bit words of a load command; LinkageError where it is shorter than that."""
    if len(content) < offset + 4 * count:
        raise window.bad(f"a load command of only {len(content)} bytes")
    return struct.unpack_from(f"{order}{count}I", content, offset)


def _version(packed: int) -> tuple[int, ...]:
    """Unpack xxxx.yy.zz (mach-o/loader.h)."""
    return packed >> 16, packed >> 8 & 0xFF, packed & 0xFF
