"""A channel in a folder: takes in packages, indexes them, and stays usable at every moment.

Packages appear by one rename each, and before the repodata that names them.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from generator.atomic import on_disk, write_bytes
from generator.channel.derived import digest_of
from generator.channel.indexing import describes, index, refuse_links, source_of, subdirs
from generator.channel.repodata import REPODATA, UNPATCHED, Record, Repodata
from generator.errors import BuildError


@dataclass(frozen=True)
class LocalChannel:
    """A folder with a conda channel in it; made when the first package comes."""

    root: Path

    @property
    def url(self) -> str:
        """The ``file://`` URL that conda takes after ``-c``."""
        return self.root.resolve().as_uri()

    def labelled(self, label: str) -> LocalChannel:
        """Return the sub-channel of a label, a folder with subdirs of its own; "" for this one.

        It lies where ``publish --label`` puts it and anaconda.org serves it: ``label/<label>``.
        A client that names this channel alone never sees what is below a label.
        """
        return LocalChannel(self.root / "label" / label) if label else self

    def labels(self) -> tuple[str, ...]:
        """Return the labels that have packages, sorted."""
        found = {path.parents[1].name for path in self.root.glob("label/*/*/*.conda")}
        return tuple(sorted(found))

    def prepare(self) -> None:
        """Make the folder; StorageError when packages could not be put there later."""
        with self.locked():
            probe = self.root / ".armtorch.probe"
            probe.unlink(missing_ok=True)  # a link would lead out of the channel
            probe.write_bytes(b"")
            probe.unlink()

    def find(self, subdir: str, file_name: str) -> Path | None:
        """Return the package of that name, if the channel has it."""
        path = self.root / subdir / file_name
        return path if path.is_file() else None

    def sha256(self, subdir: str, file_name: str) -> str:
        """Return a package's sha256, from the repodata where that is of the file as it is."""
        path, source = self.root / subdir / file_name, source_of(self.root / subdir)
        repodata = Repodata.read(source)
        if repodata is not None and file_name in repodata.rows:
            said = repodata.says(file_name)
            if describes(said.size, source.stat().st_mtime_ns, path.stat()):
                return said.sha256
        return digest_of(path)

    def records(self, subdir: str) -> tuple[Record, ...]:
        """Return what the repodata of ``subdir`` says, sorted by file name; () without one.

        Raises IntegrityError: the repodata is not parsable.
        """
        found = Repodata.read(self.root / subdir / REPODATA)
        return tuple(found.records()) if found is not None else ()

    def repodata(self) -> list[Repodata]:
        """Return what each subdir's repodata says, its records unread.

        Raises IntegrityError: one is not parsable.
        """
        read = (Repodata.read(self.root / name / REPODATA) for name in subdirs(self.root))
        return [each for each in read if each is not None]

    def place(self, package: Path, subdir: str, *, replace: bool, copy: bool = False) -> Path:
        """Move or copy a finished package into the channel; ``index`` puts it into the repodata.

        Raises BuildError: other bytes are there under this name, and ``replace`` is not set.
        IntegrityError: its subdir is a link to another folder.
        StorageError: no space, or not writable.
        """
        target = self.root / subdir / package.name
        with self.locked():
            refuse_links(target.parent)
            target.parent.mkdir(exist_ok=True)
            if target.is_file() and not replace and digest_of(target) != digest_of(package):
                raise BuildError(
                    "another build put different bytes under this name",
                    where=str(target),
                    next_step="raise the build number, or replace it with `armtorch build --force`",
                )
            if target.is_file():
                # no client may see a record whose file has other bytes
                for path in (target.parent / REPODATA, target.parent / UNPATCHED):
                    repodata = Repodata.read(path)
                    if repodata is not None and package.name in repodata.rows:
                        write_bytes(path, repodata.edited({package.name}, {}))
            _move(package, target, copy=copy)
        return target

    def index(self, patch: str | None = None) -> str:
        """Bring the repodata up to date with the packages; return what was done, "" for nothing.

        ``patch`` is the file name of a package in noarch with patch instructions.
        Raises IntegrityError: a package is damaged. StorageError: no space, or not writable.
        """
        with self.locked():
            return index(self.root, patch or "")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the channel against other builders, and turn OSError into StorageError."""
        advice = "check free space and permissions, or choose another folder"
        with on_disk("the channel cannot be written", self.root, advice, inside=True):
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / ".armtorch.lock"):
                yield


def _move(package: Path, target: Path, *, copy: bool) -> None:
    """Let ``target`` become ``package`` in one step, from another file system too."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)  # a link would lead out of the channel
    try:
        try:
            if copy:
                shutil.copyfile(package, part)
            else:
                package.replace(part)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copyfile(package, part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)
        os.utime(part)  # newer than a repodata that is of another file under this name
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
