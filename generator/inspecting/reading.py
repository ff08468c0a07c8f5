"""Tells binaries from other files, and reads them from streams that cannot seek as well."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from generator.inspecting import elf, macho, pe
from generator.inspecting.binary import Binary, Window
from generator.inspecting.elf_symbols import read_elf_symbols
from generator.inspecting.macho_symbols import read_macho_symbols
from generator.inspecting.pe_symbols import read_pe_symbols
from generator.inspecting.pieces import Pieces
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
    ``stream`` stands at its beginning, and with ``seeks`` going back in it is known to cost little.
    Raises LinkageError: it begins like a binary and its headers are corrupt.
    """
    magic = stream.read(4)
    if not _begins_like_one(magic):
        return ()
    with _window(magic, stream, size, path, seeks=seeks) as window:
        return _read(magic, window)


def read_library(
    stream: BinaryIO, size: int, path: str, machine: str
) -> tuple[tuple[Binary, ...], Symbols | None]:
    """Read a file's loader headers and its symbols for one machine, from any stream.

    Raises LinkageError: as `read_binary` and `read_symbols`.
    """
    magic = stream.read(4)
    if not _begins_like_one(magic):
        return (), None
    with _window(magic, stream, size, path) as window:
        return _read(magic, window), _symbols(magic, window, machine)


def read_symbols(
    stream: BinaryIO, size: int, path: str, machine: str, *, headers: bool = False
) -> Symbols | None:
    """Read a library's symbols, None for a file that is no binary, or none for ``machine``.

    ``machine`` says which architecture of a fat Mach-O file; others are what they are. With
    ``headers``, the section headers of an ELF file are gone by, which is enough to see what it
    exports and reads little of a remote one.
    Raises LinkageError: it begins like a binary and its tables are corrupt.
    """
    stream.seek(0)
    magic = stream.read(4)
    return _symbols(magic, Window(stream, size, path), machine, headers=headers)


def _symbols(
    magic: bytes, window: Window, machine: str, *, headers: bool = False
) -> Symbols | None:
    if magic == elf.MAGIC:
        return read_elf_symbols(window, headers=headers)
    if magic in macho.MAGICS:
        return read_macho_symbols(window, machine)
    return read_pe_symbols(window) if magic.startswith(pe.MAGIC) else None


def _begins_like_one(magic: bytes) -> bool:
    return magic == elf.MAGIC or magic in macho.MAGICS or magic.startswith(pe.MAGIC)


@contextmanager
def _window(
    magic: bytes, stream: BinaryIO, size: int, path: str, *, seeks: bool = False
) -> Iterator[Window]:
    """Give a window over a stream whose first bytes were read."""
    if seeks or isinstance(stream, io.BytesIO | Pieces) or _is_file(stream):
        yield Window(stream, size, path)
        return
    with tempfile.TemporaryFile() as copy:
        copy.write(magic)
        shutil.copyfileobj(stream, copy, _CHUNK)
        yield Window(copy, size, path)


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
