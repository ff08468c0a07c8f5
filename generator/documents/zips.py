"""Zip files of others: what their directory may hold, and members that are read whole."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

from generator.documents.limits import limits
from generator.errors import MalformedError, UnsafeArchiveError

#: what zipfile and what it calls raise at bytes that make no sense
UNREADABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    ValueError,
    OSError,
)
#: bytes of the end record (APPNOTE.TXT 4.3.16)
_END: Final = 22
#: bytes of zip64's locator before it (4.3.15)
_LOCATOR: Final = 20
#: in which it is looked for: with zip64's locator and any comment that is not there to hide it
_TAIL: Final = 1 << 16
#: how wheels are packed (the binary distribution format knows no other that every installer reads)
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NEXT: Final = "do not use this file; report it upstream"


@contextmanager
def open_zip(file: IO[bytes], where: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip file whose directory is small enough, and whose members are stored or deflated.

    Raises MalformedError: it is no zip file. UnsafeArchiveError: its directory is too large, or a
    member packed otherwise or encrypted.
    """
    try:
        _check_end(file, where)
        archive = zipfile.ZipFile(file)
    except UNREADABLE as error:
        raise MalformedError(
            f"not a zip archive: {_said(error)}", where=where, next_step=_NEXT
        ) from error
    with archive:
        for info in archive.infolist():
            if info.compress_type not in _METHODS or info.flag_bits & 0x1:
                raise _unsafe(
                    f"member {info.orig_filename!r} is encrypted, or packed by method "
                    f"{info.compress_type}, and wheels are stored or deflated",
                    where,
                )
        yield archive


def read_member(archive: zipfile.ZipFile, name: str, where: str) -> bytes:
    """Read a small member whole.

    Raises MalformedError: it is not there, or it cannot be decompressed. UnsafeArchiveError: it is
    larger, or unpacks to more, than any text has reason to.
    """
    allowed = limits().zip
    try:
        info = archive.getinfo(name)
        if info.file_size > allowed.text:
            raise _unsafe(f"member {name!r} declares more than {allowed.text:,} bytes", where)
        if info.file_size > max(allowed.always, allowed.ratio * info.compress_size):
            raise _unsafe(
                f"member {name!r} declares {info.file_size:,} bytes unpacked, more than "
                f"{allowed.ratio} times its size",
                where,
            )
        return archive.read(name)
    except KeyError as error:
        raise MalformedError(
            f"there is no member {name!r}", where=where, next_step="report it upstream"
        ) from error
    except UNREADABLE as error:
        raise MalformedError(
            f"member {name!r} cannot be read: {_said(error)}",
            where=where,
            next_step="report it upstream",
        ) from error


def _check_end(file: IO[bytes], where: str) -> None:
    """Hold what the end records say of the directory against the limits, before it is read."""
    allowed = limits().zip
    end = file.seek(0, io.SEEK_END)
    tail, place = b"", -1
    for length in (_END + _LOCATOR, _TAIL):  # most have no comment, and a remote one costs less so
        file.seek(max(0, end - length))
        tail = file.read(length)
        place = tail.rfind(b"PK\5\6")
        if place >= 0:
            break
    if place < 0 or place + _END > len(tail):
        raise zipfile.BadZipFile("it has no end record")
    members, size = struct.unpack_from("<HI", tail, place + 10)
    if tail[max(0, place - _LOCATOR) : place].startswith(b"PK\6\7"):
        (record,) = struct.unpack_from("<Q", tail, place - _LOCATOR + 8)
        if record + 56 > end:
            raise zipfile.BadZipFile("its zip64 end record lies outside")
        file.seek(record)
        members, size = struct.unpack_from("<QQ", file.read(56), 32)
    if members > allowed.members or size > allowed.directory:
        raise _unsafe(
            f"its directory has {members:,} members and {size:,} bytes, more than "
            f"{allowed.members:,} and {allowed.directory:,}",
            where,
        )
    file.seek(0)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _unsafe(what: str, where: str) -> UnsafeArchiveError:
    return UnsafeArchiveError(what, where=where, next_step=_NEXT)
