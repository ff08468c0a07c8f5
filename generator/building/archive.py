"""Reads and writes .conda files as streams.

The format (CEP 35): a zip of stored members, ``metadata.json``, ``pkg-<stem>.tar.zst`` with the
files of the package and ``info-<stem>.tar.zst`` with its metadata.
"""

from __future__ import annotations

import tarfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

import zstandard

from generator.building.policy import SealPolicy
from generator.documents import info_files, load_json
from generator.errors import IntegrityError, MalformedError, UnsafeArchiveError

BLOCK: Final = 1 << 20
#: two empty blocks end a tar
TAR_END: Final = bytes(2 * tarfile.BLOCKSIZE)
#: a size from which on a header has it in another form
_OCTAL: Final = 8**11
#: the first four bytes of ELF and Mach-O files (64 and 32 bits in both byte orders, fat ones)
_BINARY: Final = frozenset(
    {
        b"\x7fELF",
        *(b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xce"),
        *(b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"),
    }
)
#: PE files: only the first two bytes are fixed
_BINARY_PE: Final = b"MZ"
_DAMAGED: Final = (zipfile.BadZipFile, tarfile.TarError, zstandard.ZstdError, KeyError, EOFError)
_NEXT: Final = "delete the file and run `armtorch build` again"


def read_info(path: Path) -> dict[str, bytes]:
    """Read every metadata file of a package, by its path (``info/index.json``), in order.

    Raises IntegrityError: not a .conda file, damaged, or with more metadata than is sane.
    """
    try:
        with path.open("rb") as file:
            return info_files(file, path.name)
    except (MalformedError, UnsafeArchiveError) as error:
        raise _damaged(path, error.what) from error


def read_json(info: dict[str, bytes], name: str, path: Path) -> dict[str, Any]:
    """Parse one metadata file of ``path``; IntegrityError when it is missing or no JSON object."""
    if name not in info:
        raise _damaged(path, f"it has no {name}")
    value = load_json(info[name], str(path), refuse=IntegrityError, next_step=_NEXT)
    if not isinstance(value, dict):
        raise _damaged(path, f"{name} is not a JSON object")
    return value


@contextmanager
def open_payload(path: Path) -> Iterator[tarfile.TarFile]:
    """Open the files of a package as a forward-only tar stream.

    Raises IntegrityError: not a .conda file, or damaged, also when that shows while reading.
    """
    try:
        with (
            zipfile.ZipFile(path) as archive,
            archive.open(_payload(archive, path)) as packed,
            zstandard.ZstdDecompressor().stream_reader(packed, read_size=BLOCK) as reader,
            tarfile.open(fileobj=reader, mode="r|", bufsize=BLOCK) as tar,
        ):
            yield tar
    except _DAMAGED as error:
        raise _damaged(path, error) from error


def is_binary(head: bytes) -> bool:
    """Whether a file that begins so is an ELF, Mach-O or PE file."""
    return head[:4] in _BINARY or head[:2] == _BINARY_PE


def tar_header(
    name: str, seconds: int, *, head: bytes = b"", size: int = 0, link: str | None = None
) -> bytes:
    """Return the one header that the seal writes for an entry.

    Owner, group and time are fixed, and what a file begins with says whether it is executable, so
    that the bytes depend on names, contents and links alone: a wheel's own bits are in no RECORD.
    ``head`` is what a file begins with, two bytes of it at least, ``link`` the target of a link.
    """
    if link is not None:
        mode, kind = 0o777, tarfile.SYMTYPE
    else:
        mode, kind = 0o755 if is_binary(head) or head.startswith(b"#!") else 0o644, tarfile.REGTYPE
    path = name.encode("utf-8", "surrogateescape")
    target = (link or "").encode("utf-8", "surrogateescape")
    if max(len(path), len(target)) > tarfile.LENGTH_NAME or not 0 <= size < _OCTAL:
        return _header(name, seconds, mode, kind, size=size, link=link or "")
    # as tarfile writes it, which takes ten times as long: a package of torch has ten thousand
    before, after, end, total = _blank(seconds, mode, kind)
    number = b"%011o\0" % size
    total += sum(path) + sum(number) + sum(target)
    return b"%b%b%b%b%06o%b%b%b" % (
        path.ljust(tarfile.LENGTH_NAME, b"\0"),
        before,
        number,
        after,
        total,
        b"\0 " + kind,
        target.ljust(tarfile.LENGTH_LINK, b"\0"),
        end,
    )


def _header(name: str, seconds: int, mode: int, kind: bytes, *, size: int, link: str) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode, entry.type, entry.linkname = (
        size,
        seconds,
        mode,
        kind,
        link,
    )
    return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


@lru_cache
def _blank(seconds: int, mode: int, kind: bytes) -> tuple[bytes, bytes, bytes, int]:
    """Return the parts of a header that all entries share, and the checksum of such a header."""
    blank = _header("", seconds, mode, kind, size=0, link="")
    total = int(blank[148:154], 8) - sum(blank[124:136])
    return blank[100:124], blank[136:148], blank[257:], total


class TarZst:
    """A tar member of a .conda file that is being written, sorted by the caller."""

    def __init__(self, target: IO[bytes], seconds: int) -> None:
        self._target, self._seconds = target, seconds

    def add(self, name: str, blocks: Iterable[bytes], size: int) -> None:
        """Write one file of ``size`` bytes from its blocks."""
        rest = iter(blocks)
        first = next(rest, b"")
        self._target.write(tar_header(name, self._seconds, head=first, size=size))
        for block in chain((first,), rest):
            self._target.write(block)
        self._target.write(bytes(-size % tarfile.BLOCKSIZE))

    def add_link(self, name: str, link: str) -> None:
        """Write a symbolic link."""
        self._target.write(tar_header(name, self._seconds, link=link))

    def finish(self) -> None:
        """Write the two empty blocks that end a tar."""
        self._target.write(TAR_END)


class CondaZip:
    """The outer archive: stored members side by side, their times the package's."""

    def __init__(self, archive: zipfile.ZipFile, stem: str, seconds: int) -> None:
        self._archive, self._stem, self._seconds = archive, stem, seconds
        archive.writestr(self._entry("metadata.json"), b'{"conda_pkg_format_version":2}')

    def member(self, kind: str) -> IO[bytes]:
        """Open the ``pkg`` or ``info`` member for writing; a reader that streams needs no more."""
        entry = self._entry(f"{kind}-{self._stem}.tar.zst")
        return self._archive.open(entry, "w", force_zip64=True)

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = zipfile.ZipInfo(name, time.gmtime(self._seconds)[:6])
        entry.create_system = 3  # Unix, whatever this runs on
        entry.external_attr = 0o100644 << 16
        return entry


class CondaWriter(CondaZip):
    """Writes a .conda file whose bytes depend on its entries, the level and the policy alone."""

    def __init__(
        self,
        archive: zipfile.ZipFile,
        stem: str,
        *,
        level: int,
        cores: int,
        seconds: int,
        rules: SealPolicy,
    ) -> None:
        super().__init__(archive, stem, seconds)
        self._parameters = zstandard.ZstdCompressionParameters.from_level(
            level,
            threads=rules.threads_for(level, cores),
            window_log=rules.window_log,
            job_size=rules.job_mib << 20,
        )

    @contextmanager
    def tar(self, kind: str) -> Iterator[TarZst]:
        """Open the ``pkg`` or ``info`` member for writing."""
        # a context per member: one that was used before allocates anew all the same
        compressor = zstandard.ZstdCompressor(compression_params=self._parameters)
        with (
            self.member(kind) as member,
            compressor.stream_writer(member, closefd=False) as target,
        ):
            tar = TarZst(target, self._seconds)
            yield tar
            tar.finish()


def _payload(archive: zipfile.ZipFile, path: Path) -> str:
    found = [name for name in archive.namelist() if name.startswith("pkg-")]
    if len(found) != 1:
        raise _damaged(path, f"it has {len(found)} members with files")
    return found[0]


def _damaged(path: Path, why: object) -> IntegrityError:
    return IntegrityError(f"not a usable .conda file: {why}", where=str(path), next_step=_NEXT)
