"""Reads a .conda file that armtorch sealed, by remaking it (design D16).

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
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Final, NoReturn, TypeAlias, cast

import zstandard

from generator.building.archive import TAR_END, CondaZip, tar_header
from generator.building.policy import policy
from generator.errors import MalformedError, UnsafeArchiveError
from generator.inspecting.limits import Limits

CHUNK: Final = 1 << 20
_BLOCK: Final = 512
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
_NUMBER: Final = re.compile(rb"[0-7]{11}\0")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
Refuse: TypeAlias = Callable[[str], NoReturn]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file, or a link with its target; the path is relative and leads nowhere else."""

    path: str
    size: int = 0
    target: str | None = None


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
        for entry, blocks in self._entries("info", _Slice(self._file, *self._members["info"])):
            total += entry.size
            if entry.size > self._limits.info_file or total > self._limits.info:
                self._unsafe(f"{entry.path} with {entry.size} bytes of metadata")
            if entry.target is not None or entry.path <= last:
                self._malformed(f"{entry.path} is a link, or stands out of order")
            last = entry.path
            found[entry.path] = b"".join(blocks)
        return found

    def payload(self) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """Yield the packaged files in order, and then compare what holds everything together."""
        skeleton = _Skeleton()
        if self.seconds not in _DATES:
            self._malformed("its time is none that a zip can have")
        with zipfile.ZipFile(cast("IO[bytes]", skeleton), "w") as archive:
            outer = CondaZip(archive, self._stem, self.seconds)
            with outer.member("pkg") as member:
                packed = _Slice(self._file, *self._members["pkg"], copy=skeleton.passing(member))
                last: tuple[str, ...] = ()
                for entry, blocks in self._entries("pkg", packed):
                    if (parts := tuple(entry.path.split("/"))) <= last:
                        self._malformed(f"{entry.path} stands out of order, or twice")
                    last = parts
                    yield entry, blocks
            with outer.member("info") as member:
                packed = _Slice(self._file, *self._members["info"], copy=skeleton.passing(member))
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

    def _entries(self, kind: str, packed: _Slice) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        start, size = self._members[kind]
        window = policy().seal.window_log
        self._check_frame(kind, start, size, _FRAME + bytes([(window - 10) << 3]))
        allowed = max(self._limits.always, self._limits.ratio * size)
        decompressor = zstandard.ZstdDecompressor(max_window_size=1 << window)
        try:
            with decompressor.stream_reader(cast("IO[bytes]", packed), read_size=_READ) as reader:
                tar = _Tar(_Unpacked(reader, allowed, self._unsafe), self._malformed)
                yield from self._files(tar)
                if packed.left:
                    self._malformed(f"its {kind} member has bytes behind its end")
        except zstandard.ZstdError as error:
            self._malformed(f"its {kind} member does not unpack: {error}")

    def _files(self, tar: _Tar) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        taken: set[str] = set()
        folders: set[str] = set()
        while (found := tar.next(self._seconds, self._limits)) is not None:
            entry, seconds = found
            self._seconds = seconds
            self._admit(entry, taken, folders)
            blocks = tar.content(entry.size)
            yield entry, blocks
            for _ in blocks:  # what was not asked for
                pass
            tar.padding(entry.size)

    def _admit(self, entry: Entry, taken: set[str], folders: set[str]) -> None:
        path = entry.path
        parts = path.split("/")
        if (
            any(part in {"", ".", ".."} for part in parts)
            or "\\" in path
            or _DRIVE.match(path)
            or any(ord(letter) < 32 for letter in path)
            or len(path) > 4096
        ):
            self._unsafe(f"the unsafe path {path[:200]!r}")
        folder = path.rpartition("/")[0]
        if folder not in folders:
            for end in range(1, len(parts)):
                if (above := "/".join(parts[:end])) in taken:
                    self._unsafe(f"{path!r}, which leads through the file {above!r}")
            # in the order that entries have, no file can take a folder's place later
            folders.add(folder)
        if len(taken) > self._limits.entries:
            self._unsafe(f"more than {self._limits.entries} entries")
        if entry.size > self._limits.file:
            self._unsafe(f"{path!r} with {entry.size} bytes")
        taken.add(path)

    def _check_frame(self, kind: str, place: int, size: int, header: bytes) -> None:
        """Walk one frame of zstd, which has to begin and to end with the member (RFC 8878)."""
        end, last = place + size, 0
        self._file.seek(place)
        sound = self._file.read(len(header)) == header
        place += len(header)
        while sound and not last:
            head = self._file.read(3)
            block = int.from_bytes(head, "little")
            last, block_kind, length = block & 1, block >> 1 & 3, block >> 3
            sound = len(head) == 3 and block_kind != 3 and place + 3 <= end
            # a block of one byte repeated
            place = self._file.seek(place + 3 + (1 if block_kind == 1 else length))
        if not sound or place != end:
            self._malformed(f"its {kind} member is not one frame of zstd as the seal writes it")

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


class _Slice:
    """A member's content, read from where it lies; ``copy`` is given what was read."""

    def __init__(
        self,
        file: BinaryIO,
        start: int,
        size: int,
        *,
        copy: Callable[[bytes], None] | None = None,
    ) -> None:
        self._file, self._place, self.left, self._copy = file, start, size, copy

    def read(self, size: int, /) -> bytes:
        self._file.seek(self._place)
        block = self._file.read(min(size, self.left))
        self._place += len(block)
        self.left -= len(block)
        if self._copy is not None:
            self._copy(block)
        return block


class _Unpacked:
    """What comes out of a decoder, of which there may be so many bytes and no more."""

    def __init__(
        self, source: zstandard.ZstdDecompressionReader, allowed: int, refuse: Refuse
    ) -> None:
        self._source, self._left, self._refuse = source, allowed, refuse
        self._held, self._place = b"", 0

    def some(self, size: int) -> bytes:
        """Return up to ``size`` bytes, at least one unless it has ended."""
        if self._place == len(self._held):
            self._held, self._place = self._source.read(CHUNK), 0
            self._left -= len(self._held)
            if self._left < 0:
                self._refuse("more in it than its size allows")
        found = self._held[self._place : self._place + size]
        self._place += len(found)
        return found

    def peek(self) -> bytes:
        """Return the next bytes, four at least unless it ends before, and leave them there."""
        while len(self._held) - self._place < 4 and (more := self._source.read(CHUNK)):
            self._held, self._place = self._held[self._place :] + more, 0
            self._left -= len(more)
        return self._held[self._place : self._place + 4]


class _Tar:
    """A tar of which every header is the seal's."""

    def __init__(self, source: _Unpacked, refuse: Refuse) -> None:
        self._source, self._refuse = source, refuse

    def next(self, seconds: int | None, limits: Limits) -> tuple[Entry, int] | None:
        """Return the next entry and its time, None at the end; refuse other forms."""
        raw = header = self._exactly(_BLOCK)
        if header == TAR_END[:_BLOCK]:
            if self._exactly(_BLOCK) + self._source.some(1) != TAR_END[:_BLOCK]:
                self._refuse("its tar has bytes behind its end")
            return None
        long: dict[bytes, bytes] = {}
        while (kind := header[156:157]) in {b"L", b"K"} and len(long) < 2:
            size = self._number(header[124:136])
            if size > limits.header:
                self._refuse(f"a header of {size} bytes")
            content = self._exactly(size + -size % _BLOCK)
            long[kind] = content[: max(0, size - 1)]
            header = self._exactly(_BLOCK)
            raw += content + header
        name = self._text(long.get(b"L", header[:100].partition(b"\0")[0]))
        link: str | None = None
        size, head = self._number(header[124:136]), b""
        if kind == b"2":
            link = self._text(long.get(b"K", header[157:257].partition(b"\0")[0]))
        elif size:
            head = self._source.peek()[:size]
        when = self._number(header[136:148])
        wanted = tar_header(name, when, head=head, size=size, link=link)
        if raw != wanted or seconds not in {None, when} or (link is not None and size):
            self._refuse(f"the header of {name[:200]!r} in its tar is not as the seal writes it")
        return Entry(path=name, size=size, target=link), when

    def content(self, size: int) -> Iterator[bytes]:
        """Yield the bytes of a file."""
        while size:
            if not (block := self._source.some(min(size, CHUNK))):
                self._refuse("its tar ends within a file")
            size -= len(block)
            yield block

    def padding(self, size: int) -> None:
        """Read the zeros that fill a file's last block."""
        if self._exactly(-size % _BLOCK).strip(b"\0"):
            self._refuse("its tar has bytes where a block is filled up")

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size and (block := self._source.some(size - len(found))):
            found += block
        if len(found) != size:
            self._refuse("its tar ends early")
        return found

    def _number(self, field: bytes) -> int:
        if field[0] == 0x80:  # base 256: sizes of 8 GiB and more
            return int.from_bytes(field[1:], "big")
        if not _NUMBER.fullmatch(field):
            self._refuse("a header in its tar holds no number where one belongs")
        return int(field[:-1], 8)

    def _text(self, content: bytes) -> str:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            self._refuse(f"its tar has a name that is not UTF-8: {content[:80]!r}")


@contextmanager
def open_package(path: Path, limits: Limits) -> Iterator[Container]:
    """Open a package on disk; raises as Container does."""
    with path.open("rb") as file:
        yield Container(file, path.name, limits)
