"""Bytes that are kept between runs, each believed only as it was written."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

from generator import atomic
from generator.documents import limits, read_bytes

#: bytes of the sha256 that stands before what is kept
_DIGEST = 32


class Packed:
    """Bytes of one kind by a key that never means others, so that they need no expiry.

    Each file begins with the sha256 of its name and content: what was damaged, or moved under
    another name, is read from upstream again.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder / kind, kind

    def get(self, key: str) -> bytes | None:
        """Return what is kept under a key; None for what is not, or was damaged since."""
        try:
            packed = read_bytes(self._path(key), limits().zip.directory)
            whole = zlib.decompressobj().decompress(packed, 2 * limits().zip.directory)
        except (OSError, zlib.error):
            return None
        digest, content = whole[:_DIGEST], whole[_DIGEST:]
        return content if digest == self._digest(key, content) else None

    def keep(self, key: str, content: bytes) -> None:
        """Keep bytes under a key."""
        packed = zlib.compress(self._digest(key, content) + content, level=1)
        atomic.write_bytes(self._path(key), packed, durable=False)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.z"

    def _digest(self, key: str, content: bytes) -> bytes:
        return hashlib.sha256(f"{self._kind} {key}\n".encode() + content).digest()
