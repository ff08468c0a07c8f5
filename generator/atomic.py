"""Writes a file whole or not at all: temporary name in the same folder, fsync, then replace.

``os.replace`` within one folder is atomic on every system armtorch runs on, so whoever reads a
final name sees the old bytes or the new ones, also after Ctrl-C and kill -9.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from generator.errors import StorageError


@contextmanager
def on_disk(
    what: str,
    where: Path,
    next_step: str = "make room or give yourself the right to write there",
    *,
    inside: bool = False,
) -> Iterator[None]:
    """Turn what the file system refuses into StorageError, which says ``what`` could not be.

    It names ``where``, or with ``inside`` the file that it is about, where the system says which.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        place = str((inside and error.filename) or where)
        raise StorageError(f"{what}: {why}", where=place, next_step=next_step) from error


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write ``content`` to ``path``; ``durable`` also waits until the disk has it.

    Raises StorageError: the folder cannot be written or the disk is full; ``path`` is as it was.
    """
    temporary: Path | None = None
    try:
        with on_disk("cannot be written", path):
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
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def move(path: Path, target: Path) -> None:
    """Move a file, or a link as it is, within one file system.

    Raises StorageError: there is no right to, or no room.
    """
    with on_disk("cannot be moved", path, "name a folder on the same disk that you may write to"):
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    r"""Write ``text`` as UTF-8 with ``\n`` line ends; see :func:`write_bytes`."""
    write_bytes(path, text.encode("utf-8"), durable=durable)
