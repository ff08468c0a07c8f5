"""Whether two packages of one name are one package, though their bytes are not the same.

What was made from the same inputs is, also where a repository that moved or a newer builder gave it
other bytes (decision D20). What a package states of its inputs can be copied into a forged one, so
that what clients act on is compared, too.
"""

from __future__ import annotations

from typing import IO, Any, Final

import zstandard

from generator.documents import load_json, open_zip, read_info_file
from generator.documents.zips import UNREADABLE
from generator.errors import MalformedError, UnsafeArchiveError

_ABOUT: Final = "info/about.json"
_INDEX: Final = "info/index.json"
#: what clients install by, beside the files themselves
_ACTED: Final = ("info/paths.json", "info/link.json", "info/run_exports.json")
_BLOCK: Final = 1 << 20


def same_package(ours: IO[bytes], theirs: IO[bytes], name: str) -> bool:
    """Whether two packages state the same inputs, and install the same files in the same way."""
    try:
        digest = _inputs(ours, name)
        return (
            bool(digest)
            and _inputs(theirs, name) == digest
            and _index(theirs, name) == _index(ours, name)
            and all(
                read_info_file(ours, name, p) == read_info_file(theirs, name, p) for p in _ACTED
            )
            and _same_files(ours, theirs, name)
        )
    except (MalformedError, UnsafeArchiveError, zstandard.ZstdError, KeyError, *UNREADABLE):
        return False


def _inputs(file: IO[bytes], name: str) -> str:
    """Return the digest of its inputs that a package states; "" where it states none."""
    found: Any = load_json(read_info_file(file, name, _ABOUT) or b"{}", name)
    for key in ("extra", "armtorch", "digest"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _index(file: IO[bytes], name: str) -> dict[str, Any]:
    found = load_json(read_info_file(file, name, _INDEX) or b"{}", name)
    rows = found if isinstance(found, dict) else {}
    return {key: value for key, value in rows.items() if key != "timestamp"}


def _same_files(ours: IO[bytes], theirs: IO[bytes], name: str) -> bool:
    """Compare the files' archives as they are unpacked: each may be compressed in its own way."""
    member = f"pkg-{name.removesuffix('.conda')}.tar.zst"
    one_way, other_way = (zstandard.ZstdDecompressor(max_window_size=1 << 27) for _ in range(2))
    with (
        open_zip(ours, name) as one,
        open_zip(theirs, name) as two,
        one.open(member) as first,
        two.open(member) as second,
        one_way.stream_reader(first) as wanted,
        other_way.stream_reader(second) as found,
    ):
        while block := wanted.read(_BLOCK):
            if found.read(len(block)) != block:
                return False
        return not found.read(1)
