"""Reads the packaged files once, as a stream, and compares each with what it has to be."""

from __future__ import annotations

import hashlib
import posixpath
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from generator.errors import LinkageError
from generator.inspecting.binary import dotted
from generator.inspecting.conda_file import CondaFile
from generator.inspecting.deriving import SITE
from generator.inspecting.limits import Limits
from generator.inspecting.manifest import Manifest
from generator.inspecting.proof import Binaries, Flaw
from generator.inspecting.read_wheel import Wheel, decode
from generator.inspecting.reading import read_binary
from generator.inspecting.tar_stream import TarEntry

#: the first four bytes of ELF and Mach-O (64 and 32 bit, fat) files
_BINARY: Final = frozenset(
    {
        b"\x7fELF",
        b"\xcf\xfa\xed\xfe",
        b"\xce\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
        b"\xbe\xba\xfe\xca",
        b"\xca\xfe\xba\xbf",
    }
)
_PE: Final = b"MZ"
#: where every client puts site-packages, as far as relative links can tell
_PLACED: Final = f"lib/python/{SITE}"


@dataclass(frozen=True)
class Seen:
    """One packaged file: its digest and size, and its bytes if they are to be made anew."""

    sha256: str
    size: int
    content: bytes | None = None


@dataclass
class Contents:
    """Everything that was seen in a package."""

    files: dict[str, Seen] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    binaries: Binaries = field(default_factory=Binaries)
    #: system versions needed by the file for which the manifest says the floor was raised, one per
    #: architecture in it
    floors: tuple[str, ...] = ()
    flaws: list[Flaw] = field(default_factory=list)


def read_contents(
    package: CondaFile,
    manifest: Manifest | None,
    record: Mapping[str, tuple[str, int]],
    limits: Limits,
    wheel: Wheel | None = None,
) -> Contents:
    """Read every file; compare those that are taken over with RECORD, and with the wheel's bytes.

    Raises:
        MalformedError, UnsafeArchiveError: the archive is damaged or not safe.

    """
    found = Contents()
    unchanged = manifest.unchanged if manifest is not None else {}
    whole: set[str] = set()
    if manifest is not None:
        whole = {*manifest.patched, *manifest.unpatched, *manifest.generated}
    floor = manifest.floor if manifest is not None else None

    def take(entry: TarEntry, blocks: Iterator[bytes]) -> None:
        keep = entry.path in whole and entry.size <= limits.text
        if (member := unchanged.get(entry.path)) is None:
            _count(found, entry, _read(found, entry, blocks, keep=keep), upstreams=False)
            return
        twin = _Twin(wheel, member) if wheel is not None and member in record else None
        binary = _read(found, entry, blocks, keep=keep, twin=twin)
        seen = found.files[entry.path]
        _count(found, entry, binary, upstreams=_compare(found, entry.path, seen, record, member))
        if twin is not None and (where := twin.difference()) is not None:
            what = f"differs from the wheel's {member} from byte {where} on"
            found.flaws.append(Flaw(entry.path, what))

    for entry, blocks in package.payload():
        if entry.kind == "link":
            _link(found, entry)
        elif entry.kind == "folder":
            found.folders.append(entry.path)
        elif floor is not None and entry.path == floor.file and entry.size <= limits.binary:
            with tempfile.TemporaryFile() as copy:
                take(entry, _copied(blocks, copy))
                found.floors = _floors(copy, entry)
        else:
            take(entry, blocks)
    return found


def _copied(blocks: Iterator[bytes], copy: BinaryIO) -> Iterator[bytes]:
    for block in blocks:
        copy.write(block)
        yield block


def _floors(copy: BinaryIO, entry: TarEntry) -> tuple[str, ...]:
    copy.seek(0)
    try:
        slices = read_binary(copy, entry.size, entry.path)
    except LinkageError:
        return ()
    return tuple(dotted(each.floor) for each in slices if each.floor)


def _compare(
    found: Contents,
    path: str,
    seen: Seen,
    record: Mapping[str, tuple[str, int]],
    member: str,
) -> bool:
    row = record.get(member)
    if row is None:
        found.flaws.append(Flaw(path, f"is said to be upstream's {member}, which RECORD lacks"))
        return False
    if seen.size != row[1]:
        what = f"has {seen.size} bytes, upstream's {member} has {row[1]}"
        found.flaws.append(Flaw(path, what))
        return False
    if seen.sha256 != decode(row[0]):
        what = f"its content has sha256 {seen.sha256}, upstream's {member} has {decode(row[0])}"
        found.flaws.append(Flaw(path, what))
        return False
    return True


def _read(
    found: Contents,
    entry: TarEntry,
    blocks: Iterator[bytes],
    *,
    keep: bool = False,
    twin: _Twin | None = None,
) -> bool:
    """Hash a file, and say whether it is a binary."""
    digest, kept, first = hashlib.sha256(), [], b""
    for block in blocks:
        first = first or block[:4]
        digest.update(block)
        if twin is not None:
            twin.compare(block)
        if keep:
            kept.append(block)
    content = b"".join(kept) if keep else None
    found.files[entry.path] = Seen(digest.hexdigest(), entry.size, content)
    return first in _BINARY or first.startswith(_PE)


def _count(found: Contents, entry: TarEntry, binary: bool, *, upstreams: bool) -> None:
    if binary:
        known = found.binaries
        found.binaries = Binaries(
            files=known.files + 1,
            bytes=known.bytes + entry.size,
            unchanged_bytes=known.unchanged_bytes + (entry.size if upstreams else 0),
        )


def _link(found: Contents, entry: TarEntry) -> None:
    found.links[entry.path] = entry.target
    if resolve(entry.path, entry.target) is None:
        found.flaws.append(Flaw(entry.path, f"leads out of the prefix, to {entry.target!r}"))


def resolve(path: str, target: str) -> str | None:
    """Return the package path that a link leads to, None when that is outside of the prefix."""
    if not target or target.startswith("/") or "\\" in target or "\0" in target:
        return None
    inside = _swap(path, SITE, _PLACED)
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(inside), target))
    if reached in {".", ".."} or reached.startswith("../"):
        return None
    return _swap(reached, _PLACED, SITE)


def _swap(path: str, head: str, by: str) -> str:
    return f"{by}{path.removeprefix(head)}" if path.startswith(f"{head}/") else path


class _Twin:
    """A member of the wheel, read in step with the packaged file."""

    def __init__(self, wheel: Wheel, member: str) -> None:
        self._chunks = wheel.stream(member)
        self._rest = b""
        self._place = 0
        self._differs: int | None = None

    def compare(self, block: bytes) -> None:
        """Compare the next bytes of the packaged file."""
        view = memoryview(block)
        while view and self._differs is None:
            self._rest = self._rest or next(self._chunks, b"")
            length = min(len(view), len(self._rest))
            if not length or view[:length] != self._rest[:length]:
                self._differs = self._place + _first(view[:length], self._rest[:length])
                return
            self._place += length
            view, self._rest = view[length:], self._rest[length:]

    def difference(self) -> int | None:
        """Return the first byte that differs, None when there is none."""
        if self._differs is None and (self._rest or next(self._chunks, b"")):
            self._differs = self._place
        return self._differs


def _first(one: memoryview, other: bytes) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))
