"""Reads the packaged files once, as a stream: what each is, and what its binaries need."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple, cast

from generator.building.archive import is_binary
from generator.inspecting.audit import PackageAudit
from generator.inspecting.container import Container
from generator.inspecting.limits import Limits
from generator.inspecting.pieces import MissedError, Pieces
from generator.inspecting.tar import Entry


class Seen(NamedTuple):
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
    #: of both
    paths: list[str] = field(default_factory=list)


def read_contents(
    package: Container,
    limits: Limits,
    *,
    whole: Collection[str] = (),
    audit: PackageAudit | None = None,
) -> Contents:
    """Read every file once.

    ``whole`` are paths of texts whose content is to be kept. ``audit`` is given the binaries, to
    say what they need.
    Raises MalformedError, UnsafeArchiveError: the archive is not as the seal writes it.
    """
    found, missed = Contents(), set[str]()
    for entry, blocks in package.payload():
        path = entry.path
        found.paths.append(path)
        if entry.target is not None:
            found.links[path] = entry.target
            continue
        first = next(blocks, memoryview(b""))
        kept, binary, digest = [first], is_binary(bytes(first[:4])), hashlib.sha256(first)
        if path in whole and entry.size <= limits.text:
            for block in blocks:
                digest.update(block)
                kept.append(block)
            found.files[path] = Seen(digest.hexdigest(), entry.size, binary, b"".join(kept))
            continue
        pieces: Pieces | None = None
        if binary and audit is not None and entry.size <= limits.binary:
            pieces = Pieces(path, entry.size)
            pieces.write(first)
        for block in blocks:
            digest.update(block)
            if pieces is not None:
                pieces.write(block)
        found.files[path] = Seen(digest.hexdigest(), entry.size, binary)
        if pieces is not None and audit is not None and not _look(audit, entry, pieces):
            missed.add(path)
    if missed and audit is not None:
        _look_again(package, audit, missed)
    return found


def _look(audit: PackageAudit, entry: Entry, copy: Pieces | BinaryIO) -> bool:
    """Let a binary be looked at; False where a part of it is needed that is not at hand."""

    def opened() -> AbstractContextManager[BinaryIO]:
        copy.seek(0)
        return nullcontext(cast("BinaryIO", copy))

    try:
        audit.file(entry.path, entry.size, opened)
    except MissedError:
        return False
    return True


def _look_again(package: Container, audit: PackageAudit, missed: Collection[str]) -> None:
    """Read the package once more, for binaries of another layout than linkers give them."""
    for entry, blocks in package.payload():
        if entry.path in missed:
            with tempfile.TemporaryFile() as copy:
                copy.writelines(blocks)
                _look(audit, entry, copy)
