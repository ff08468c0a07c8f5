"""Writes a file whole or not at all: temporary name in the same folder, fsync, then replace.

``os.replace`` within one folder is atomic on every system armtorch runs on, so whoever reads a
final name sees the old bytes or the new ones, also after Ctrl-C and kill -9.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from generator.errors import StorageError


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write ``content`` to ``path``; ``durable`` also waits until the disk has it.

    Raises:
        StorageError: the folder cannot be written or the disk is full; ``path`` is as it was.

    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.chmod(_mode(path))
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


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    r"""Write ``text`` as UTF-8 with ``\n`` line ends; see :func:`write_bytes`."""
    write_bytes(path, text.encode("utf-8"), durable=durable)


def _mode(path: Path) -> int:
    """Return the mode of the file that is replaced, else what a plain ``open`` would give."""
    try:
        return path.stat().st_mode & 0o7777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
