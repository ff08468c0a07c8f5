"""The unpacker: what all recipes of a feedstock build with, once beside them in recipes/_unpack.

It is written by `render` from armtorch's own files, there as in any other feedstock: armtorch is
installed, and the feedstock is its user's. Two of its modules are modules of armtorch, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from generator.rendering import templates

FOLDER: Final = "recipes/_unpack"
#: what the unpacker is made of; its digest is over these
SCRIPTS: Final = ("build.py", *sorted(templates.SHARED))


def unpacker_files(texts: Iterable[str]) -> dict[str, bytes]:
    """Return the unpacker's files by path, with the licence texts that recipes ask for."""
    files = {f"{FOLDER}/{name}": templates.read(name) for name in SCRIPTS}
    return files | {f"{FOLDER}/licenses/{name}": _license(name) for name in sorted(set(texts))}


def unpacker() -> str:
    """Return the unpacker's digest: of what ``sha256sum`` prints of its scripts.

    It stands in every layout.json, so that a package's digest is over the unpacker, too, and
    build.py compares it with what it is.
    """
    lines = [f"{_sha256(templates.read(name))}  {name}\n" for name in SCRIPTS]
    return _sha256("".join(lines).encode())


def license_sha256(name: str) -> str:
    """Return the sha256 of a licence text."""
    return _sha256(_license(name))


def _license(name: str) -> bytes:
    return templates.read(f"licenses/{name}")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
