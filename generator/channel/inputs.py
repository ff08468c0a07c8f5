"""Whether two packages of one name are one package, though their bytes are not the same.

What was made from the same inputs is, also where a repository that moved or a newer builder gave it
other bytes (decision D20). What a package states of its inputs can be copied into a forged one, so
that what clients act on is compared, too.
"""

from __future__ import annotations

from typing import IO, Any, Final

from generator.documents import load_json, read_info_file, same_payload
from generator.errors import MalformedError, UnsafeArchiveError

_ABOUT: Final = "info/about.json"
_INDEX: Final = "info/index.json"
#: what clients install by, beside the files themselves
_ACTED: Final = ("info/paths.json", "info/link.json", "info/run_exports.json")


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
            and same_payload(ours, theirs, name)
        )
    except (MalformedError, UnsafeArchiveError, OSError):
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
