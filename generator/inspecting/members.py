"""The binaries in a wheel, a package or a file, one by one, for what looks into all of them."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Final, cast

from generator.building import open_payload
from generator.documents import open_zip
from generator.errors import AbsentError, IntegrityError, MalformedError
from generator.inspecting.binary import Binary
from generator.inspecting.reading import read_binary

#: how names of binaries end, besides programs in a folder called bin
_SUFFIXES: Final = (".so", ".dylib", ".dll", ".pyd", ".exe")


@dataclass(frozen=True, kw_only=True)
class BinaryMember:
    """One binary; ``stream`` can seek, and is closed when the next member is asked for."""

    path: str
    binary: Binary
    stream: BinaryIO


def binary_members(path: Path) -> Iterator[BinaryMember]:
    """Yield the ELF, Mach-O and PE files in a .whl or .conda file, or the file itself.

    Of a fat Mach-O file the last architecture counts.
    Raises AbsentError: there is no such file. IntegrityError: an archive is damaged. LinkageError:
    a binary's headers are corrupt.
    """
    if not path.is_file():
        raise AbsentError("there is no such file", where=str(path), next_step="check the name")
    if path.suffix == ".whl":
        yield from _of_wheel(path)
    elif path.suffix == ".conda":
        yield from _of_package(path)
    else:
        with path.open("rb") as stream:
            yield from _read(path.name, stream, path.stat().st_size)


def _of_wheel(path: Path) -> Iterator[BinaryMember]:
    try:
        with path.open("rb") as file, open_zip(file, path.name) as archive:
            for info in archive.infolist():
                if _may_be_binary(info.filename):
                    with archive.open(info) as packed, _copied(packed) as stream:
                        yield from _read(info.filename, stream, info.file_size)
    except (MalformedError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise IntegrityError(
            f"not a usable wheel: {error}", where=str(path), next_step="fetch it again"
        ) from error


def _of_package(path: Path) -> Iterator[BinaryMember]:
    with open_payload(path) as tar:
        for entry in tar:
            if entry.isreg() and _may_be_binary(entry.name):
                with _copied(cast("IO[bytes]", tar.extractfile(entry))) as stream:
                    yield from _read(entry.name, stream, entry.size)


def _read(path: str, stream: BinaryIO, size: int) -> Iterator[BinaryMember]:
    found = read_binary(stream, size, path)
    if found:
        yield BinaryMember(path=path, binary=found[-1], stream=stream)


def _may_be_binary(path: str) -> bool:
    name = PurePosixPath(path)
    return "bin" in name.parts[:-1] or any(suffix in _SUFFIXES for suffix in name.suffixes)


@contextmanager
def _copied(packed: IO[bytes]) -> Iterator[BinaryIO]:
    """Put a member that cannot seek into a file that is gone when it is closed."""
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(packed, copy, 1 << 20)
        copy.seek(0)
        yield cast("BinaryIO", copy)
