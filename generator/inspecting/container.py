"""Reads a .conda file that armtorch sealed, by remaking it (decision D16).

Readers of zip and tar disagree about what two headers say, which of two members counts and what may
lie between them. So nothing here is interpreted: every header is written anew by the seal's own
code, from the few values in it, and has to be there byte for byte, with nothing between, before or
behind. What has another form is refused, whatever some reader makes of it.

Of the packed bytes it is asked that they are one frame of zstd with the seal's header that fills
its member: that makes every decoder give the same bytes. Whether another encoder would have packed
them alike changes nothing that is installed, and packing anew takes ten times what unpacking does.
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Final, NoReturn, cast

import zstandard

from generator.building.archive import CondaZip
from generator.building.policy import policy
from generator.errors import MalformedError, UnsafeArchiveError
from generator.inspecting.limits import Limits
from generator.inspecting.tar import CHUNK, Blocks, Entry, Tar

_READ: Final = 1 << 17
_NEXT: Final = "do not install this package; get it again from a channel you trust"
#: a local file header without its name (APPNOTE.TXT 4.3.7), and its zip64 field (4.5.3)
_LOCAL: Final = 30
_ZIP64: Final = 20
_FIRST: Final = _LOCAL + len('metadata.json{"conda_pkg_format_version":2}')
#: what zip's dates can say, in seconds: 1 Jan 1980 to 2107
_DATES: Final = range(315532800, 4354819200)
#: RFC 8878, 3.1.1: no content size, no checksum, no dictionary; then the window
_FRAME: Final = b"\x28\xb5\x2f\xfd\x00"
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_NO_NAMES: Final = frozenset({"", ".", ".."})
_LONGEST: Final = 4096
_ODD: Final = re.compile(r"[\\\x00-\x1f]")


class Container:
    """One package, open for reading: its metadata, then its payload, which ends the check."""

    def __init__(self, file: BinaryIO, name: str, limits: Limits) -> None:
        """Raise MalformedError or UnsafeArchiveError for what the seal did not write."""
        self._file, self._name, self._limits = file, name, limits
        self._stem = name.removesuffix(".conda")
        self._end = file.seek(0, 2)
        self._members: dict[str, tuple[int, int]] = {}
        place = _FIRST
        for kind in ("pkg", "info"):
            start, size = self._member(kind, place)
            self._members[kind] = start, size
            place = start + size
        self._seconds: int | None = None

    @property
    def seconds(self) -> int:
        """The time that everything in it has; known when the metadata were read."""
        return self._seconds or 0

    def info(self) -> dict[str, bytes]:
        """Return every metadata file, by path (``info/index.json``)."""
        found: dict[str, bytes] = {}
        total, last = 0, ""
        packed = _Slice(self._file, *self._members["info"], self._frame("info"))
        for entry, blocks in self._entries("info", packed):
            total += entry.size
            if entry.size > self._limits.info_file or total > self._limits.info:
                self._unsafe(f"{entry.path} with {entry.size} bytes of metadata")
            if entry.target is not None or entry.path <= last:
                self._malformed(f"{entry.path} is a link, or stands out of order")
            last = entry.path
            found[entry.path] = b"".join(blocks)
        return found

    def payload(self) -> Iterator[tuple[Entry, Blocks]]:
        """Yield the packaged files in order, and then compare what holds everything together."""
        skeleton = _Skeleton()
        if self.seconds not in _DATES:
            self._malformed("its time is none that a zip can have")
        with zipfile.ZipFile(cast("IO[bytes]", skeleton), "w") as archive:
            outer = CondaZip(archive, self._stem, self.seconds)
            with outer.member("pkg") as member:
                check, copy = self._frame("pkg"), skeleton.passing(member)
                packed = _Slice(self._file, *self._members["pkg"], check, copy)
                last: tuple[str, ...] = ()
                for entry, blocks in self._entries("pkg", packed):
                    if (parts := tuple(entry.path.split("/"))) <= last:
                        self._malformed(f"{entry.path} stands out of order, or twice")
                    last = parts
                    yield entry, blocks
            with outer.member("info") as member:
                packed = _Slice(self._file, *self._members["info"], skeleton.passing(member))
                while packed.read(CHUNK):
                    pass
        self._compare(skeleton)

    def _member(self, kind: str, place: int) -> tuple[int, int]:
        """Return where a member's content is, by the header before it, which is compared later."""
        name = f"{kind}-{self._stem}.tar.zst".encode("utf-8", "surrogateescape")
        start = place + _LOCAL + len(name) + _ZIP64
        self._file.seek(start - 2 * 8)
        sizes = self._file.read(2 * 8)
        size = struct.unpack("<QQ", sizes)[0] if len(sizes) == 2 * 8 else self._end
        if start + size > self._end:
            self._malformed(f"its {kind} member is not where the seal puts it")
        return start, size

    def _compare(self, skeleton: _Skeleton) -> None:
        """Compare every byte that is no content of a member."""
        for place, wanted in skeleton.written.items():
            self._file.seek(place)
            if self._file.read(len(wanted)) != wanted:
                self._malformed(f"its zip is not as the seal writes it, from byte {place} on")
        if skeleton.end != self._end:
            self._malformed(f"it has {self._end} bytes, and what it holds takes {skeleton.end}")

    def _frame(self, kind: str) -> Callable[[bytes], None]:
        """Return what is given the bytes of a member, and refuses more or less than one frame."""
        header = _FRAME + bytes([(policy().seal.window_log - 10) << 3])
        frame = _Frame(header, self._members[kind][1])

        def check(block: bytes) -> None:
            if not frame.passes(block):
                self._malformed(f"its {kind} member is not one frame of zstd as the seal writes it")

        return check

    def _entries(self, kind: str, packed: _Slice) -> Iterator[tuple[Entry, Blocks]]:
        size = self._members[kind][1]
        window = policy().seal.window_log
        allowed = max(self._limits.always, self._limits.ratio * size)
        decompressor = zstandard.ZstdDecompressor(max_window_size=1 << window)
        try:
            with decompressor.stream_reader(cast("IO[bytes]", packed), read_size=_READ) as reader:
                tar = Tar(reader, allowed, self._malformed, self._unsafe)
                yield from self._files(kind, tar)
                if packed.left:
                    self._malformed(f"its {kind} member has bytes behind its end")
        except zstandard.ZstdError as error:
            self._malformed(f"its {kind} member does not unpack: {error}")

    def _files(self, kind: str, tar: Tar) -> Iterator[tuple[Entry, Blocks]]:
        taken: set[str] = set()
        folders = {""}
        while (entry := tar.next(self._seconds, self._limits)) is not None:
            self._seconds = tar.seconds
            self._admit(entry, taken, folders)
            blocks = tar.content(entry.size)
            yield entry, blocks
            for _ in blocks:  # what was not asked for
                pass
            if (entry.path.partition("/")[0].casefold() == "info") != (kind == "info"):
                self._malformed(f"{entry.path} belongs into the other of its two tars")

    def _admit(self, entry: Entry, taken: set[str], folders: set[str]) -> None:
        path = entry.path
        folder, slash, name = path.rpartition("/")
        if folder not in folders or (slash and not folder):
            self._admit_folder(path, folder, taken)
            # in the order that entries have, no file can take a folder's place later
            folders.add(folder)
        if (
            name in _NO_NAMES
            or _ODD.search(name)
            or len(path) > _LONGEST
            or (not folder and _DRIVE.match(name))
        ):
            self._unsafe(f"the unsafe path {path[:200]!r}")
        if len(taken) > self._limits.entries:
            self._unsafe(f"more than {self._limits.entries} entries")
        if entry.size > self._limits.file:
            self._unsafe(f"{path!r} with {entry.size} bytes")
        taken.add(path)

    def _admit_folder(self, path: str, folder: str, taken: set[str]) -> None:
        parts = folder.split("/")
        if not _NO_NAMES.isdisjoint(parts) or _ODD.search(folder) or _DRIVE.match(folder):
            self._unsafe(f"the unsafe path {path[:200]!r}")
        for end in range(1, len(parts) + 1):
            if (above := "/".join(parts[:end])) in taken:
                self._unsafe(f"{path!r}, which leads through the file {above!r}")

    def _malformed(self, what: str) -> NoReturn:
        raise MalformedError(what, where=self._name, next_step=_NEXT)

    def _unsafe(self, what: str) -> NoReturn:
        raise UnsafeArchiveError(f"it has {what}", where=self._name, next_step=_NEXT)


class _Skeleton:
    """A file that is written to, and keeps what is not content of a member."""

    def __init__(self) -> None:
        self.written: dict[int, bytes] = {}
        self.end = self._place = 0
        self._passing = False

    def passing(self, member: IO[bytes]) -> Callable[[bytes], None]:
        """Return what writes content of a member: counted, and not kept."""

        def write(content: bytes) -> None:
            self._passing = True
            member.write(content)
            self._passing = False

        return write

    def write(self, content: bytes) -> int:
        if not self._passing:
            self.written[self._place] = bytes(content)
        self._place += len(content)
        self.end = max(self.end, self._place)
        return len(content)

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> int:
        self._place = place
        return place

    def flush(self) -> None:
        """Do nothing: there is no file."""


class _Frame:
    """Walks a frame of zstd while its bytes pass: a header, and blocks to the end (RFC 8878)."""

    def __init__(self, header: bytes, size: int) -> None:
        self._header, self._size = header, size
        #: where the next block begins, and where what was seen ends
        self._next, self._end = len(header), 0
        self._last = False
        self._rest = b""

    def passes(self, block: bytes) -> bool:
        """Take what follows; False where it is not as it has to be."""
        held = self._rest + block
        start = self._end - len(self._rest)
        self._end += len(block)
        if not start and not held.startswith(self._header):
            return False
        while not self._last and self._next + 3 <= self._end:
            place = self._next - start
            word = int.from_bytes(held[place : place + 3], "little")
            self._last, kind = bool(word & 1), word >> 1 & 3
            if kind == 3:  # reserved
                return False
            # one byte that is repeated, or as many as it says
            self._next += 3 + (1 if kind == 1 else word >> 3)
        self._rest = held[self._next - start :] if self._next < self._end else b""
        if self._end == self._size or self._last:
            return self._last and self._next == self._size
        return True


class _Slice:
    """A member's content, read from where it lies; others are given what was read."""

    def __init__(
        self, file: BinaryIO, start: int, size: int, *takers: Callable[[bytes], None]
    ) -> None:
        self._file, self._place, self.left, self._takers = file, start, size, takers

    def read(self, size: int, /) -> bytes:
        self._file.seek(self._place)
        block = self._file.read(min(size, self.left))
        self._place += len(block)
        self.left -= len(block)
        for take in self._takers:
            take(block)
        return block


@contextmanager
def open_package(path: Path, limits: Limits) -> Iterator[Container]:
    """Open a package on disk; raises as Container does."""
    with path.open("rb", buffering=0) as file:
        yield Container(file, path.name, limits)
