"""Whether two packages of one name are one package, though their bytes are not the same.

What was made from the same inputs is, also where a repository that moved or a newer builder gave it
other bytes (decision D20), and so is what acts the same where a name has no place for the build
number that other inputs raise. What a package states of its inputs can be copied into a forged one,
so that what clients act on is compared, too; and one whose zip or tar has another form than the
seal's is none, since readers disagree about such a one.
"""

from __future__ import annotations

from typing import IO, Any, Final

from generator.building.archive import TAR_END, tar_header
from generator.documents import load_json, read_info_files, same_payload
from generator.errors import MalformedError, UnsafeArchiveError
from generator.model.names import tells_number

_ABOUT: Final = "info/about.json"
_INDEX: Final = "info/index.json"
#: what says where a package is from, which no client acts on
_TOLD: Final = (_ABOUT, "info/armtorch/", "info/recipe/", "info/tests/")


def same_package(ours: IO[bytes], theirs: IO[bytes], name: str) -> bool:
    """Whether two packages state the same inputs, and install the same files in the same way.

    Where the name has no place for the build number, the inputs may differ.
    """
    try:
        here, there = _sealed(ours, name), _sealed(theirs, name)
        digest = _inputs(here, name)
        numbered = _tells_number(here, name)
        return (
            bool(digest)
            and (_inputs(there, name) == digest or not numbered)
            and _acted(here, name, numbered) == _acted(there, name, numbered)
            and same_payload(ours, theirs, name)
        )
    except (MalformedError, UnsafeArchiveError, OSError):
        return False


def _sealed(file: IO[bytes], name: str) -> dict[str, bytes]:
    """Return a package's metadata; MalformedError where the seal would write another tar of it."""
    content, seconds, found = read_info_files(file, name)
    remade = bytearray()
    for path, text in found.items():
        remade += tar_header(path, seconds, head=text[:4], size=len(text))
        remade += text + bytes(-len(text) % 512)
    if remade + TAR_END != content or not all(path.startswith("info/") for path in found):
        raise MalformedError(
            "its metadata are not as the seal writes them", where=name, next_step="build it again"
        )
    return found


def _inputs(info: dict[str, bytes], name: str) -> str:
    """Return the digest of its inputs that a package states; "" where it states none."""
    found: Any = load_json(info.get(_ABOUT, b"{}"), name)
    for key in ("extra", "armtorch", "digest"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _acted(info: dict[str, bytes], name: str, numbered: bool) -> dict[str, Any]:
    """Return what clients act on, by file; the time of an index.json is not among it.

    Nor is its build number where the name has no place for that.
    """
    found: dict[str, Any] = {
        path: content for path, content in info.items() if not path.startswith(_TOLD)
    }
    index = load_json(info.get(_INDEX, b"{}"), name)
    if isinstance(index, dict):
        told = {"timestamp"} if numbered else {"timestamp", "build_number"}
        found[_INDEX] = {key: value for key, value in index.items() if key not in told}
    return found


def _tells_number(info: dict[str, bytes], name: str) -> bool:
    index = load_json(info.get(_INDEX, b"{}"), name)
    number = index.get("build_number") if isinstance(index, dict) else None
    return not isinstance(number, int) or tells_number(str(index.get("build")), number)
