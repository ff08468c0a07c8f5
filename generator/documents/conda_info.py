"""One metadata file of a .conda package of unknown origin, by its path.

The format is CEP 35's. Only the metadata part of a package is read, so a remote one costs little.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from copy import copy
from typing import IO, Final

import zstandard

from generator.documents.limits import limits
from generator.documents.zips import UNREADABLE, open_zip, read_member
from generator.errors import MalformedError, UnsafeArchiveError

#: what tarfile raises at headers that make no sense
_UNREADABLE: Final = (tarfile.TarError, zstandard.ZstdError, ValueError, EOFError, OverflowError)
_BLOCK: Final = 1 << 20
#: where the first header of a tar has its time (POSIX.1-1988, ustar)
_TIME: Final = slice(136, 148)
_NEXT: Final = "delete the package, and build or get it again"


def read_info_file(package: IO[bytes], name: str, path: str) -> bytes | None:
    """Return a file of a package's metadata (``info/run_exports.json``); None where it has none.

    Raises MalformedError: it is no .conda file, or its metadata cannot be read. UnsafeArchiveError:
    its metadata unpacks to more than is sane.
    """
    return info_files(package, name).get(path)


def read_info_files(package: IO[bytes], name: str) -> tuple[bytes, int, dict[str, bytes]]:
    """Return the metadata of a package as its tar, the time of that, and the files in it.

    Raises MalformedError: it is no .conda file, or its metadata cannot be read, or there is
    anything in its zip that only some readers see. UnsafeArchiveError: its metadata unpacks to more
    than is sane.
    """
    stem = name.removesuffix(".conda")
    with open_zip(package, name) as archive:
        members = archive.infolist()
        place = 0
        for entry in members:
            # the first has no field for zip64, and those that are written as streams have one
            header = _without_zip64(entry).FileHeader(zip64=entry is not members[0])
            package.seek(place)
            if package.read(len(header)) != header or entry.compress_type != zipfile.ZIP_STORED:
                raise _unread(f"{entry.filename} is not where a stream would have it", name)
            place += len(header) + entry.compress_size
        wanted = ["metadata.json", f"pkg-{stem}.tar.zst", f"info-{stem}.tar.zst"]
        if [each.filename for each in members] != wanted or place != archive.start_dir:
            raise _unread("it has other members than a package", name)
    content = _metadata(package, name)
    try:
        return content, int(content[_TIME].rstrip(b"\0 "), 8), _files(content)
    except _UNREADABLE as error:
        raise _unread(error, name) from error


def info_files(package: IO[bytes], name: str, part: str = "info") -> dict[str, bytes]:
    """Return the metadata files of a package, or those of its payload, whatever else is in its zip.

    Raises MalformedError: it is no .conda file, or its metadata cannot be read. UnsafeArchiveError:
    its metadata unpacks to more than is sane.
    """
    try:
        return _files(_metadata(package, name, part))
    except _UNREADABLE as error:
        raise _unread(error, name) from error


def _files(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        return {
            entry.name: file.read()
            for entry in tar
            if entry.isreg() and (file := tar.extractfile(entry))
        }


def _without_zip64(entry: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """Return an entry of a directory without what that has beside it from 4 GiB on (4.5.3)."""
    bare = copy(entry)
    kind, size = bare.extra[:2], int.from_bytes(bare.extra[2:4], "little")
    if kind == b"\1\0" and len(bare.extra) == 4 + size:
        bare.extra = b""
    return bare


def _metadata(package: IO[bytes], name: str, part: str = "info") -> bytes:
    allowed = limits().zip
    with open_zip(package, name) as archive:
        # rattler takes it by how its name begins, of a package that was renamed, too
        members = [each for each in archive.namelist() if each.startswith(f"{part}-")]
        if len(members) != 1:
            raise _unread(f"it has {len(members)} members called {part}-", name)
        packed = read_member(archive, members[0], name)
    return unpack_zstd(
        packed, max(allowed.text, min(4 * allowed.text, allowed.ratio * len(packed))), name
    )


def unpack_zstd(packed: bytes, most: int, where: str) -> bytes:
    """Unpack all frames, as clients do, to no more than ``most`` bytes.

    Raises MalformedError: it does not unpack. UnsafeArchiveError: it unpacks to more.
    """
    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    try:
        with unpacker.stream_reader(packed, read_across_frames=True) as reader:
            content = reader.read(most + 1)
    except _UNREADABLE as error:
        raise _unread(error, where) from error
    if len(content) > most:
        raise UnsafeArchiveError(
            f"it unpacks to more than {most:,} bytes", where=where, next_step=_NEXT
        )
    return content


def _unread(why: object, name: str) -> MalformedError:
    return MalformedError(f"its metadata cannot be read: {why}", where=name, next_step=_NEXT)


def same_payload(ours: IO[bytes], theirs: IO[bytes], name: str) -> bool:
    """Compare two packages' files as they are unpacked: each may be compressed in its own way.

    No more is unpacked than ours has.
    Raises MalformedError: one is no .conda file, or cannot be unpacked. UnsafeArchiveError: its
    directory is too large.
    """
    member = f"pkg-{name.removesuffix('.conda')}.tar.zst"
    one_way, other_way = (zstandard.ZstdDecompressor(max_window_size=1 << 27) for _ in range(2))
    try:
        with (
            open_zip(ours, name) as one,
            open_zip(theirs, name) as two,
            one.open(member) as first,
            two.open(member) as second,
            one_way.stream_reader(first, read_across_frames=True) as wanted,
            other_way.stream_reader(second, read_across_frames=True) as found,
        ):
            while block := wanted.read(_BLOCK):
                if found.read(len(block)) != block:
                    return False
            return not found.read(1)
    except (KeyError, *_UNREADABLE, *UNREADABLE) as error:
        raise MalformedError(
            f"its files cannot be read: {error}", where=name, next_step=_NEXT
        ) from error
