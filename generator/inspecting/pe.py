"""Reads the import tables of a PE file (Microsoft's PE Format: headers, .idata, .edata)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from generator.inspecting.binary import Binary, Load, Window

MAGIC: Final = b"MZ"
_SIGNATURE: Final = b"PE\0\0"
#: what Windows itself loads: a text file may begin with MZ, these may not be anything else
_NAMES: Final = (".dll", ".pyd", ".exe")
#: IMAGE_FILE_MACHINE_*; the last two stand in object files only, images say 0x8664 and 0xAA64
_MACHINES: Final = {
    0x014C: "x86",
    0x01C4: "arm",
    0x8664: "x86_64",
    0xAA64: "arm64",
    0xA641: "arm64ec",
    0xA64E: "arm64x",
}
_AMD64: Final = 0x8664
_IS_DLL: Final = 0x2000
#: where things stand in the optional header, by its magic: (ImageBase, its form, directories)
_WIDE: Final = 0x20B
_OPTIONAL: Final = {0x10B: (28, "<I", 96), _WIDE: (24, "<Q", 112)}
EXPORTS, IMPORTS, _LOAD_CONFIG, _DELAYED = 0, 1, 10, 13
#: CHPEMetadataPointer in IMAGE_LOAD_CONFIG_DIRECTORY64: not null in ARM64EC and ARM64X images
_CHPE: Final = 200
#: Windows loads no image with more sections
_MOST_SECTIONS: Final = 96
#: real files: torch_cpu.dll imports from about 30
_MOST_IMPORTS: Final = 1024
#: Windows' MAX_PATH, with the zero
_LONGEST_NAME: Final = 260


class _Section(NamedTuple):
    """One row of the section table: where its bytes are in memory and in the file."""

    virtual_size: int
    address: int
    raw_size: int
    offset: int


class Image(NamedTuple):
    """What is needed to follow addresses: all of them are relative to the image's base."""

    machine: int
    #: PE32+
    wide: bool
    is_dll: bool
    base: int
    headers: int
    directories: tuple[tuple[int, int], ...]
    sections: tuple[_Section, ...]


def read_pe(window: Window) -> tuple[Binary, ...]:
    """Read a PE file's machine, name, imports and delay imports; nothing where it is no PE file.

    ``machine`` is ``arm64ec`` for an x64 image that holds ARM64EC code: such a library loads into
    emulated x64 processes only, and Windows tells the two apart by the load configuration.
    Raises LinkageError: a header is corrupt; the message names the file and what is wrong.
    """
    if (image := read_image(window)) is None:
        return ()
    needs = [*_imports(window, image), *_delayed(window, image)]
    machine = _MACHINES.get(image.machine, f"machine {image.machine:#x}")
    if image.machine == _AMD64 and _has_arm_code(window, image):
        machine = "arm64ec"
    return (
        Binary(
            format="pe",
            machine=machine,
            name=_name(window, image),
            needs=tuple(needs),
            executable=not image.is_dll,
        ),
    )


def read_image(window: Window) -> Image | None:
    """Read the headers; None where it is no PE file. Raises as `read_pe` does."""
    start = _start(window)
    return None if start is None else _image(window, start)


def _start(window: Window) -> int | None:
    """Return where the signature stands; None for what only begins like a program of DOS."""
    must_be = window.path.lower().endswith(_NAMES)
    if window.size >= 64:
        (start,) = struct.unpack("<I", window.read(60, 4, "DOS header"))
        inside = start + len(_SIGNATURE) <= window.size
        if inside and window.read(start, len(_SIGNATURE), "PE signature") == _SIGNATURE:
            return int(start)
    if must_be:
        raise window.bad("no PE signature where the DOS header has it")
    return None


def _image(window: Window, start: int) -> Image:
    machine, count, _, _, _, size, flags = struct.unpack(
        "<HHIIIHH", window.read(start + 4, 20, "COFF header")
    )
    optional = window.read(start + 24, size, "optional header")
    magic = struct.unpack_from("<H", optional)[0] if size >= 2 else 0
    if magic not in _OPTIONAL or count > _MOST_SECTIONS:
        raise window.bad(f"optional header {magic:#x} of {size} bytes, {count} sections")
    at, form, first = _OPTIONAL[magic]
    if size < first:
        raise window.bad(f"an optional header of only {size} bytes")
    (base,) = struct.unpack_from(form, optional, at)
    (headers,) = struct.unpack_from("<I", optional, 60)
    (said,) = struct.unpack_from("<I", optional, first - 4)
    room = min(said, 16, (size - first) // 8)
    table = window.read(start + 24 + size, 40 * count, "section table")
    return Image(
        machine=machine,
        wide=magic == _WIDE,
        is_dll=bool(flags & _IS_DLL),
        base=base,
        headers=headers,
        directories=tuple(struct.iter_unpack("<II", optional[first : first + 8 * room])),
        sections=tuple(_Section(*row) for row in struct.iter_unpack("<8x4I16x", table)),
    )


def file_offset(window: Window, image: Image, address: int, what: str) -> int:
    """Return where in the file an address lies; LinkageError where no section has it."""
    for section in image.sections:
        inside = address - section.address
        if 0 <= inside < min(section.raw_size, section.virtual_size or section.raw_size):
            return section.offset + inside
    if address < image.headers:
        return address
    raise window.bad(f"no section holds the {what} at address {address:#x}")


def read_name(
    window: Window, image: Image, address: int, what: str, longest: int = _LONGEST_NAME
) -> str:
    """Return the zero-terminated text at an address; LinkageError where there is none."""
    return window.text(file_offset(window, image, address, what), longest, what)


def directory(image: Image, index: int) -> int:
    """Return a directory's address; 0 where there is none."""
    return image.directories[index][0] if index < len(image.directories) else 0


def directory_rows(
    window: Window, image: Image, index: int, form: str
) -> Iterator[tuple[int, ...]]:
    """Yield the descriptors of a directory up to the empty one; its size field is not relied on."""
    address, size = directory(image, index), struct.calcsize(form)
    if not address:
        return
    for number in range(_MOST_IMPORTS):
        place = file_offset(window, image, address + number * size, "import table")
        row = struct.unpack(form, window.read(place, size, "import descriptor"))
        if not any(row):
            return
        yield row
    raise window.bad(f"more than {_MOST_IMPORTS} imported libraries")


def _imports(window: Window, image: Image) -> Iterator[Load]:
    for _, _, _, name, _ in directory_rows(window, image, IMPORTS, "<5I"):
        yield Load(name=read_name(window, image, name, "name of an imported library"))


def _delayed(window: Window, image: Image) -> Iterator[Load]:
    for attributes, name, *_ in directory_rows(window, image, _DELAYED, "<8I"):
        # Visual C++ 6 wrote addresses that count from 0, and no attribute
        place = name if attributes & 1 else name - image.base
        yield Load(name=read_name(window, image, place, "name of a delayed import"), weak=True)


def _name(window: Window, image: Image) -> str | None:
    address = directory(image, EXPORTS)
    if not address:
        return None
    place = file_offset(window, image, address, "export directory")
    (name,) = struct.unpack("<12xI", window.read(place, 16, "export directory"))
    return read_name(window, image, name, "name of the library") if name else None


def _has_arm_code(window: Window, image: Image) -> bool:
    address = directory(image, _LOAD_CONFIG)
    if not address:
        return False
    place = file_offset(window, image, address, "load configuration")
    (size,) = struct.unpack("<I", window.read(place, 4, "load configuration"))
    if size < _CHPE + 8:
        return False
    (metadata,) = struct.unpack("<Q", window.read(place + _CHPE, 8, "load configuration"))
    return bool(metadata)
