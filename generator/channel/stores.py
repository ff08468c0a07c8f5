"""What a channel lies in: a folder or a bucket, with the few steps that publishing needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from generator.atomic import on_disk, write_bytes
from generator.channel.checking import check_package
from generator.channel.indexing import EDITED, MADE, package_files, subdirs
from generator.channel.local import LocalChannel
from generator.channel.repodata import REPODATA, SIGS, UNPATCHED, Record, Repodata
from generator.documents import limits, open_file, read_bytes
from generator.errors import IntegrityError, UnreachableError

#: how often another publisher may be faster before it is called an error
TRIES: Final = 20


def outrun(where: str) -> UnreachableError:
    """Return the error for a file that others kept changing."""
    return UnreachableError(
        f"other publishers were faster {TRIES} times",
        where=where,
        next_step="publish again when they are done",
    )


#: takes a file's bytes (None: there is none) and returns what they shall be (None: no change)
Edit = Callable[[bytes | None], bytes | None]


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A package that is to be published, as the local channel's repodata has it."""

    path: Path
    record: Record

    @property
    def key(self) -> str:
        """``<subdir>/<file name>``."""
        return self.record.key

    def verify(self) -> None:
        """Raise IntegrityError when the file is not what its record and its name say."""
        with self.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != self.record.sha256:
            raise IntegrityError(
                f"its sha256 is {found}, and its channel's repodata says {self.record.sha256}",
                where=str(self.path),
                next_step="delete it there and build it again: armtorch build",
            )
        check_package(self.path, self.record.subdir)


class Target(Protocol):
    """A destination, whether its files are ours to write or a host takes packages."""

    def packages(self) -> dict[str, int]:
        """Return every package there, ``<subdir>/<file name>``, with its bytes."""

    def sha256(self, key: str) -> str:
        """Return the sha256 of a package there."""

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open a package there, for reading at any place."""

    def put(self, package: Outgoing, *, replace: bool, advance: Callable[[int], None]) -> None:
        """Bring a package; ConflictError where another one has its name."""


class Store(Target, Protocol):
    """A channel whose files are ours to write; paths in it are relative, with forward slashes."""

    def sidecars(self) -> tuple[str, ...]:
        """Return every file with attestations beside a package."""

    def subdirs(self) -> tuple[str, ...]:
        """Return the subdirs that it may have packages in, and noarch (CEP 26)."""

    def has(self, path: str) -> bool:
        """Whether there is a file."""

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, None where there is none."""

    def change(self, path: str, edit: Edit) -> None:
        """Let ``edit`` change a file; called again where another publisher was faster."""

    def delete(self, path: str) -> None:
        """Remove a file; one that is not there is no error."""

    def index(self, patch: str | None) -> str:
        """Index with the patch package of that name in noarch; return why anew, "" where not."""


class FolderStore:
    """A channel in a folder; every change is made under the channel's lock."""

    def __init__(self, channel: LocalChannel) -> None:
        self._channel = channel

    def packages(self) -> dict[str, int]:
        """Return every package file with its bytes."""
        return {
            f"{subdir}/{name}": stat.st_size
            for subdir in self.subdirs()
            for name, stat in package_files(self._channel.root / subdir).items()
        }

    def sidecars(self) -> tuple[str, ...]:
        """Return every file with attestations beside a package."""
        root = self._channel.root
        return tuple(
            path.relative_to(root).as_posix()
            for subdir in self.subdirs()
            for path in (root / subdir).glob(f"*.conda{SIGS}*")
        )

    def subdirs(self) -> tuple[str, ...]:
        """Return the subdirs with packages or an index, and noarch (CEP 26)."""
        return tuple(sorted({*subdirs(self._channel.root), "noarch"}))

    def sha256(self, key: str) -> str:
        """Return a package's sha256, from the repodata where that is of the file as it is."""
        return self._channel.sha256(*key.split("/", 1))

    def has(self, path: str) -> bool:
        """Whether there is a file."""
        return (self._channel.root / path).is_file()

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, None where there is none."""
        try:
            return read_bytes(self._channel.root / path, limits().json.bytes)
        except FileNotFoundError:
            return None

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading."""
        return open_file(self._channel.root / path)

    def change(self, path: str, edit: Edit) -> None:
        """Let ``edit`` change a file under the lock."""
        with self._channel.locked():
            if (changed := edit(self.read(path))) is not None:
                write_bytes(self._channel.root / path, changed)

    def put(self, package: Outgoing, *, replace: bool, advance: Callable[[int], None]) -> None:
        """Copy a package's file beside the others."""
        package.verify()
        self._channel.place(package.path, package.record.subdir, replace=replace, copy=True)
        advance(package.record.size)

    def delete(self, path: str) -> None:
        """Remove a file."""
        with self._channel.locked():
            (self._channel.root / path).unlink(missing_ok=True)

    def index(self, patch: str | None) -> str:
        """Index what changed; return why all of it was indexed anew, "" where it was not."""
        advice = "check free space and permissions, then publish again"
        with on_disk("the channel cannot be indexed", self._channel.root, advice):
            done = self._channel.index(patch)
        return "" if done in {EDITED, MADE} else done


def source_path(store: Store, subdir: str) -> str:
    """Return the path of the repodata without patches, which the indexer goes on from."""
    unpatched = f"{subdir}/{UNPATCHED}"
    return unpatched if store.has(unpatched) else f"{subdir}/{REPODATA}"


def records(store: Store, subdir: str) -> Iterator[Record]:
    """Yield the records of a subdir as its packages are, before patches."""
    path = source_path(store, subdir)
    if (content := store.read(path)) is not None:
        yield from Repodata.parse(content, path).records()
