"""Opens a .conda file of unknown origin and streams what is in it; nothing is extracted to disk.

The format is CEP 35's: a zip of stored members, ``metadata.json``, ``info-<stem>.tar.zst`` and
``pkg-<stem>.tar.zst``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Final

import zstandard

from generator.errors import MalformedError, UnsafeArchiveError
from generator.inspecting.limits import Limits
from generator.inspecting.read_wheel import UNREADABLE, check_directory
from generator.inspecting.tar_stream import TarEntry, TarStream

#: the most that a zip of three members can need
_MEMBERS: Final = 3
_DIRECTORY: Final = 1 << 12
_METADATA: Final = 1 << 12
_READ: Final = 1 << 17
_NEXT: Final = "do not install this package; get it again from a channel you trust"
#: how a package in conda's old format begins
_BZIP2: Final = b"BZh"


class OldFormatError(MalformedError):
    """A .tar.bz2 package."""


class CondaFile:
    """One package, open for reading; its two tars can be read in any order, each once or more."""

    def __init__(self, file: BinaryIO, name: str, limits: Limits) -> None:
        """Raise OldFormatError, MalformedError or UnsafeArchiveError for what is no .conda file."""
        self._name, self._limits = name, limits
        if file.read(len(_BZIP2)) == _BZIP2:
            raise OldFormatError(
                "a package in the old format, .tar.bz2, which is not read here",
                where=name,
                next_step="take the .conda package; cph transmute makes one, with other bytes",
            )
        try:
            check_directory(file, _MEMBERS, _DIRECTORY)
            self._archive = zipfile.ZipFile(file)
        except UNREADABLE as error:
            raise self._malformed(f"not a readable .conda file: {error}") from error
        self._members = self._find()

    def info(self) -> dict[str, bytes]:
        """Return every metadata file, by path (``info/index.json``)."""
        found: dict[str, bytes] = {}
        total = 0
        for entry, blocks in self._entries("info"):
            if entry.kind != "file":
                continue
            total += entry.size
            if entry.size > self._limits.info_file or total > self._limits.info:
                raise self._unsafe(f"{entry.path} with {entry.size} bytes of metadata")
            found[entry.path] = b"".join(blocks)
        return found

    def payload(self) -> Iterator[tuple[TarEntry, Iterator[bytes]]]:
        """Yield the packaged files in the archive's order, each with its content."""
        return self._entries("pkg")

    def _find(self) -> dict[str, zipfile.ZipInfo]:
        found: dict[str, zipfile.ZipInfo] = {}
        for member in self._archive.infolist():
            name = member.filename
            kind = "metadata" if name == "metadata.json" else name.partition("-")[0]
            packed = name.endswith(".tar.zst") and kind in {"pkg", "info"}
            if kind in found or not (packed or kind == "metadata"):
                raise self._malformed(f"it has a member {name!r} too many")
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 0x1:
                raise self._malformed(f"its member {name!r} is not stored as it is")
            found[kind] = member
        if missing := {"metadata", "pkg", "info"} - found.keys():
            raise self._malformed(f"it has no {min(missing)} member")
        if found["metadata"].file_size > _METADATA:
            raise self._unsafe("metadata.json of an odd size")
        return found

    def _entries(self, kind: str) -> Iterator[tuple[TarEntry, Iterator[bytes]]]:
        member = self._members[kind]
        where = f"{self._name}: {member.filename}"
        allowed = max(self._limits.always, self._limits.ratio * member.compress_size)
        decompressor = zstandard.ZstdDecompressor(max_window_size=self._limits.window)
        try:
            with (
                self._archive.open(member) as packed,
                decompressor.stream_reader(
                    packed, read_size=_READ, read_across_frames=True
                ) as reader,
            ):
                yield from TarStream(_Bounded(reader, allowed, where), where, self._limits)
        except (*UNREADABLE, zstandard.ZstdError) as error:
            raise self._malformed(f"{member.filename} does not unpack: {error}") from error

    def _malformed(self, what: str) -> MalformedError:
        return MalformedError(what, where=self._name, next_step=_NEXT)

    def _unsafe(self, what: str) -> UnsafeArchiveError:
        return UnsafeArchiveError(f"it has {what}", where=self._name, next_step=_NEXT)


class _Bounded:
    """A stream that may give so many bytes and no more."""

    def __init__(self, source: IO[bytes], allowed: int, where: str) -> None:
        self._source, self._left, self._where = source, allowed, where

    def read(self, size: int, /) -> bytes:
        block = self._source.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise UnsafeArchiveError(
                "it unpacks to more than its size allows", where=self._where, next_step=_NEXT
            )
        return block


@contextmanager
def open_package(path: Path, limits: Limits) -> Iterator[CondaFile]:
    """Open a package on disk; raises as CondaFile does."""
    with path.open("rb") as file:
        yield CondaFile(file, path.name, limits)
