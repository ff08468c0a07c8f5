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


def unpacker_files(beside: Iterable[str]) -> dict[str, bytes]:
    """Return the unpacker's files by path, with the texts and programs that recipes ask for."""
    return {f"{FOLDER}/{name}": templates.read(name) for name in (*SCRIPTS, *sorted(set(beside)))}


def unpacker() -> str:
    """Return the unpacker's digest: of what ``sha256sum`` prints of its scripts.

    It stands in every layout.json, so that a package's digest is over the unpacker, too, and
    build.py compares it with what it is.
    """
    lines = [f"{sha256_of(templates.read(name))}  {name}\n" for name in SCRIPTS]
    return sha256_of("".join(lines).encode())


def sha256_of(content: bytes) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(content).hexdigest()
