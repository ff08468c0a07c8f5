"""Reads small files that others may have put there: regular ones, and no more than allowed."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def open_file(path: Path) -> BufferedReader:
    """Open a file for reading.

    A pipe or a device in a file's place would keep a reader waiting for ever.
    Raises OSError: it cannot be read, or is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(handle, "rb")


def read_bytes(path: Path, limit: int) -> bytes:
    """Return a file's bytes.

    Raises OSError: as :func:`open_file` does, or it has more than ``limit`` bytes.
    """
    with open_file(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes", str(path))
    return content


def read_text(path: Path, limit: int) -> str:
    """Return a file's text; raises as :func:`read_bytes` does, and UnicodeDecodeError."""
    return read_bytes(path, limit).decode("utf-8")
