"""Reads the packaged files once, as a stream: what each is, and what its binaries need."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from generator.building.archive import is_binary
from generator.errors import LinkageError
from generator.inspecting.audit import PackageAudit
from generator.inspecting.container import Container, Entry
from generator.inspecting.limits import Limits

#: bytes of a binary up to which it is looked at in memory
_IN_MEMORY: Final = 64 << 20


@dataclass(frozen=True)
class Seen:
    """One packaged file: its digest and size, and its bytes if they are to be made anew."""

    sha256: str
    size: int
    binary: bool = False
    content: bytes | None = None


@dataclass
class Contents:
    """Everything that was seen in a package, in the order it has."""

    files: dict[str, Seen] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        """Every path, sorted by its components, as the archive has them."""
        return sorted((*self.files, *self.links), key=lambda path: path.split("/"))


def read_contents(
    package: Container,
    limits: Limits,
    *,
    whole: Collection[str] = (),
    audit: PackageAudit | None = None,
) -> Contents:
    """Read every file once.

    Args:
        package: open, its metadata read.
        limits: how much of a file is kept.
        whole: paths of texts whose content is to be kept.
        audit: is given the binaries, to say what they need.

    Raises:
        MalformedError, UnsafeArchiveError: the archive is not as the seal writes it.

    """
    found = Contents()
    for entry, blocks in package.payload():
        if entry.target is not None:
            found.links[entry.path] = entry.target
        else:
            keep = entry.path in whole and entry.size <= limits.text
            found.files[entry.path] = _read(entry, blocks, limits, keep=keep, audit=audit)
    return found


def _read(
    entry: Entry,
    blocks: Iterator[bytes],
    limits: Limits,
    *,
    keep: bool,
    audit: PackageAudit | None,
) -> Seen:
    first = next(blocks, b"")
    binary, digest = is_binary(first), hashlib.sha256(first)
    kept = [first] if keep else []
    with ExitStack() as stack:
        copy: BinaryIO | None = None
        if binary and audit is not None and entry.size <= limits.binary:
            small = entry.size <= _IN_MEMORY
            copy = io.BytesIO() if small else stack.enter_context(tempfile.TemporaryFile())
            copy.write(first)
        for block in blocks:
            digest.update(block)
            if keep:
                kept.append(block)
            if copy is not None:
                copy.write(block)
        if copy is not None and audit is not None:
            _look(audit, entry, copy)
    content = b"".join(kept) if keep else None
    return Seen(digest.hexdigest(), entry.size, binary, content)


def _look(audit: PackageAudit, entry: Entry, copy: BinaryIO) -> None:
    def opened() -> AbstractContextManager[BinaryIO]:
        copy.seek(0)
        return nullcontext(copy)

    try:
        audit.file(entry.path, entry.size, opened)
    except LinkageError:
        return  # says nothing of itself; what it has to be is known by RECORD
