"""Tells binaries from other files, and reads them from streams that cannot seek as well."""

from __future__ import annotations

import io
import shutil
import tempfile
from typing import BinaryIO, Final

from generator.inspecting import elf, macho, pe
from generator.inspecting.binary import Binary, Window

#: what is copied at a time to make a stream seekable
_CHUNK: Final = 1 << 20


def read_binary(stream: BinaryIO, size: int, path: str) -> tuple[Binary, ...]:
    """Read a file's loader headers; nothing for a file that is no binary.

    A fat Mach-O file gives one Binary per architecture. A member of an archive, in which going
    back is impossible or starts over, is copied to a temporary file first, and only if it begins
    like a binary.

    Raises:
        LinkageError: it begins like a binary and its headers are corrupt.

    """
    magic = stream.read(4)
    if not (magic == elf.MAGIC or magic in macho.MAGICS or magic.startswith(pe.MAGIC)):
        return ()
    if isinstance(stream, io.BytesIO) or _is_file(stream):
        return _read(magic, Window(stream, size, path))
    with tempfile.TemporaryFile() as copy:
        copy.write(magic)
        shutil.copyfileobj(stream, copy, _CHUNK)
        return _read(magic, Window(copy, size, path))


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
