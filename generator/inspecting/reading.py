"""Tells binaries from other files, and reads them from streams that cannot seek as well."""

from __future__ import annotations

import io
import shutil
import tempfile
from typing import BinaryIO, Final

from generator.inspecting import elf, macho, pe
from generator.inspecting.binary import Binary, Window
from generator.inspecting.elf_symbols import read_elf_symbols
from generator.inspecting.macho_symbols import read_macho_symbols
from generator.inspecting.pe_symbols import read_pe_symbols
from generator.inspecting.symbols import Symbols

#: what is copied at a time to make a stream seekable
_CHUNK: Final = 1 << 20


def read_binary(
    stream: BinaryIO, size: int, path: str, *, seeks: bool = False
) -> tuple[Binary, ...]:
    """Read a file's loader headers; nothing for a file that is no binary.

    A fat Mach-O file gives one Binary per architecture. A member of an archive, in which going
    back is impossible or starts over, is copied to a temporary file first, and only if it begins
    like a binary.

    Args:
        stream: it stands at its beginning.
        size: its size in bytes.
        path: named in errors.
        seeks: going back in it is known to cost little.

    Raises:
        LinkageError: it begins like a binary and its headers are corrupt.

    """
    magic = stream.read(4)
    if not (magic == elf.MAGIC or magic in macho.MAGICS or magic.startswith(pe.MAGIC)):
        return ()
    if seeks or isinstance(stream, io.BytesIO) or _is_file(stream):
        return _read(magic, Window(stream, size, path))
    with tempfile.TemporaryFile() as copy:
        copy.write(magic)
        shutil.copyfileobj(stream, copy, _CHUNK)
        return _read(magic, Window(copy, size, path))


def read_symbols(
    stream: BinaryIO, size: int, path: str, machine: str, *, headers: bool = False
) -> Symbols | None:
    """Read a library's symbols, None for a file that is no binary, or none for ``machine``.

    Args:
        stream: it must be able to seek.
        size: its size in bytes.
        path: named in errors.
        machine: which architecture of a fat Mach-O file; others are what they are.
        headers: go by the section headers of an ELF file, which is enough to see what it exports
            and reads little of a remote one.

    Raises:
        LinkageError: it begins like a binary and its tables are corrupt.

    """
    stream.seek(0)
    magic = stream.read(4)
    window = Window(stream, size, path)
    if magic == elf.MAGIC:
        return read_elf_symbols(window, headers=headers)
    if magic in macho.MAGICS:
        return read_macho_symbols(window, machine)
    return read_pe_symbols(window) if magic.startswith(pe.MAGIC) else None


def _read(magic: bytes, window: Window) -> tuple[Binary, ...]:
    if magic == elf.MAGIC:
        return (elf.read_elf(window),)
    return macho.read_macho(window) if magic in macho.MAGICS else pe.read_pe(window)


def _is_file(stream: BinaryIO) -> bool:
    try:
        stream.fileno()
    except (OSError, AttributeError):
        return False
    return True
