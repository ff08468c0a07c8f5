"""Writes a file whole or not at all: temporary name in the same folder, fsync, then replace.

``os.replace`` within one folder is atomic on every system armtorch runs on, so whoever reads a
final name sees the old bytes or the new ones, also after Ctrl-C and kill -9.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from generator.errors import StorageError


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write ``content`` to ``path``; ``durable`` also waits until the disk has it.

    Raises StorageError: the folder cannot be written or the disk is full; ``path`` is as it was.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = path.with_name(f".{path.name}.{token_hex(4)}.tmp")
        with name.open("xb") as file:  # with the mode that a plain open gives
            temporary = name
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            temporary.chmod(path.stat().st_mode & 0o7777)
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise StorageError(
            f"cannot be written: {error.strerror or error}",
            where=str(path),
            next_step="make room or give yourself the right to write there, then run it again",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def move(path: Path, target: Path) -> None:
    """Move a file, or a link as it is, within one file system.

    Raises StorageError: there is no right to, or no room.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    except OSError as error:
        raise StorageError(
            f"cannot be moved: {error.strerror or error}",
            where=str(path),
            next_step="name a folder on the same disk that you may write to",
        ) from error


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    r"""Write ``text`` as UTF-8 with ``\n`` line ends; see :func:`write_bytes`."""
    write_bytes(path, text.encode("utf-8"), durable=durable)
