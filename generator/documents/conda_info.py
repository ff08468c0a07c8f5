"""One metadata file of a .conda package of unknown origin, by its path.

The format is CEP 35's. Only the metadata part of a package is read, so a remote one costs little.
"""

from __future__ import annotations

import io
import tarfile
from typing import IO, Final

import zstandard

from generator.documents.limits import limits
from generator.documents.zips import UNREADABLE, open_zip, read_member
from generator.errors import MalformedError, UnsafeArchiveError

#: what tarfile raises at headers that make no sense
_UNREADABLE: Final = (tarfile.TarError, zstandard.ZstdError, ValueError, EOFError, OverflowError)
_BLOCK: Final = 1 << 20
_NEXT: Final = "delete the package, and build or get it again"


def read_info_file(package: IO[bytes], name: str, path: str) -> bytes | None:
    """Return a file of a package's metadata (``info/run_exports.json``); None where it has none.

    Raises:
        MalformedError: it is no .conda file, or its metadata cannot be read.
        UnsafeArchiveError: its metadata unpacks to more than is sane.

    """
    allowed = limits().zip
    with open_zip(package, name) as archive:
        packed = read_member(archive, f"info-{name.removesuffix('.conda')}.tar.zst", name)
    most = max(allowed.text, min(4 * allowed.text, allowed.ratio * len(packed)))
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed) as reader:
            content = reader.read(most + 1)
        if len(content) > most:
            raise UnsafeArchiveError(
                f"its metadata unpacks to more than {most:,} bytes", where=name, next_step=_NEXT
            )
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for entry in tar:
                if entry.name == path and entry.isreg() and (file := tar.extractfile(entry)):
                    return file.read(most)
    except _UNREADABLE as error:
        raise MalformedError(
            f"its metadata cannot be read: {error}", where=name, next_step=_NEXT
        ) from error
    return None


def same_payload(ours: IO[bytes], theirs: IO[bytes], name: str) -> bool:
    """Compare two packages' files as they are unpacked: each may be compressed in its own way.

    No more is unpacked than ours has.

    Raises:
        MalformedError: one is no .conda file, or cannot be unpacked.
        UnsafeArchiveError: its directory is too large.

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
