"""What a package says it was made from, read from a channel without its payload.

Two packages of one name that were made from the same inputs are the same package, also where a
repository that moved or a newer builder gave them other bytes (decision D20).
"""

from __future__ import annotations

from typing import IO, Final

from generator.documents import load_json, read_info_file
from generator.errors import ArmtorchError
from generator.transport.parts import PartsFile

#: bytes of a package's end in which its metadata lies: it is the last part of a .conda file
TAIL: Final = 4 << 20
_ABOUT: Final = "info/about.json"


def tail_file(size: int, tail: bytes) -> PartsFile:
    """Return a file of which only the last bytes are here; OSError where others are asked for."""
    start = size - len(tail)

    def part(place: int, wanted: int) -> bytes:
        if place < start:
            raise OSError(f"only the last {len(tail)} bytes of it were fetched")
        return tail[place - start : place - start + wanted]

    return PartsFile(size, part)


def inputs_digest(file: IO[bytes], name: str) -> str:
    """Return the digest of its inputs that a package states; "" where it states none."""
    try:
        found = load_json(read_info_file(file, name, _ABOUT) or b"{}", name)
    except ArmtorchError:
        return ""
    extra = found.get("extra") if isinstance(found, dict) else None
    ours = extra.get("armtorch") if isinstance(extra, dict) else None
    digest = ours.get("digest") if isinstance(ours, dict) else None
    return digest if isinstance(digest, str) else ""
