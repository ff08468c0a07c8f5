"""A channel in a folder: takes in packages, indexes them, and stays usable at every moment.

Packages appear by one rename each, and before the repodata that names them. ``index_fs`` writes
every file below ``.tmp`` and renames it (seen with strace, py-rattler 0.28), so that a run that is
killed leaves the repodata of before. What it does not notice is a package that was replaced under
its name; that is found out here.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock
from rattler.exceptions import CacheDirError, IoError
from rattler.index import index_fs

from generator.atomic import write_text
from generator.channel.checking import check_package
from generator.channel.repodata import REPODATA, UNPATCHED, Record, drop_records, read_records
from generator.errors import BuildError, IntegrityError, StorageError

#: there while an index run is under way or was killed
_UNFINISHED: Final = ".indexing"
#: the patch package that the repodata was last made with
_PATCH: Final = ".armtorch.patch"
#: what clients read first: plain, compressed and sharded (CEP 16) repodata
_INDEXES: Final = (REPODATA, f"{REPODATA}.zst", "repodata_shards.msgpack.zst")


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
            probe.write_bytes(b"")
            probe.unlink()

    def find(self, subdir: str, file_name: str) -> Path | None:
        """Return the package of that name, if the channel has it."""
        path = self.root / subdir / file_name
        return path if path.is_file() else None

    def sha256(self, subdir: str, file_name: str) -> str:
        """Return a package's sha256, from the repodata where that is of the file as it is."""
        path, repodata = self.root / subdir / file_name, self._source(subdir)
        stat = path.stat()
        for record in read_records(repodata):
            if record.file_name == file_name and _describes(record.size, repodata, stat):
                return record.sha256
        return _sha256(path)

    def records(self, subdir: str) -> tuple[Record, ...]:
        """Return what the repodata of ``subdir`` says, sorted by file name; () without one.

        Raises:
            IntegrityError: the repodata is not parsable.

        """
        return read_records(self.root / subdir / REPODATA)

    def _source(self, subdir: str) -> Path:
        """Return the repodata that the indexer goes on from: the one without patches."""
        unpatched = self.root / subdir / UNPATCHED
        return unpatched if unpatched.is_file() else self.root / subdir / REPODATA

    def place(self, package: Path, subdir: str, *, replace: bool, copy: bool = False) -> Path:
        """Move or copy a finished package into the channel; ``index`` puts it into the repodata.

        Raises:
            BuildError: other bytes are there under this name, and ``replace`` is not set.
            StorageError: no space, or not writable.

        """
        target = self.root / subdir / package.name
        with self.locked():
            target.parent.mkdir(exist_ok=True)
            if target.is_file() and not replace and _sha256(target) != _sha256(package):
                raise BuildError(
                    "another build put different bytes under this name",
                    where=str(target),
                    next_step="raise the build number, or replace it with `armtorch build --force`",
                )
            if target.is_file():
                # no client may see a record whose file has other bytes
                drop_records(target.parent / REPODATA, {package.name})
                drop_records(target.parent / UNPATCHED, {package.name})
                (self.root / _UNFINISHED).touch()
            _move(package, target, copy=copy)
        return target

    def index(self, patch: str | None = None) -> bool:
        """Bring the repodata up to date with the packages; return whether there was a need.

        ``patch`` is the file name of a package in noarch with patch instructions.

        Raises:
            IntegrityError: a package is damaged.
            StorageError: no space, or not writable.

        """
        with self.locked():
            outdated = self._outdated()
            unfinished = self.root / _UNFINISHED
            applied = self.root / _PATCH
            patched = (applied.read_text() if applied.is_file() else "") == (patch or "")
            settled = patched and not outdated and not unfinished.exists()
            if settled and self._has_every_index():
                return False
            self._refuse_changed(outdated)
            # index_fs renames its files one by one: until all are there, the next run goes on
            unfinished.touch()
            for subdir, names in outdated.items():
                drop_records(self._source(subdir), names)
            shutil.rmtree(self.root / ".tmp", ignore_errors=True)  # of runs that were killed
            self._run_index(outdated, patch)
            if not patched:
                write_text(applied, patch or "")
            unfinished.unlink()
        return True

    def _refuse_changed(self, outdated: dict[str, set[str]]) -> None:
        """Raise IntegrityError for a package whose bytes are not those of its record any more."""
        for subdir, names in outdated.items():
            for record in read_records(self._source(subdir)):
                path = self.root / subdir / record.file_name
                changed = record.file_name in names and path.is_file()
                if changed and _sha256(path) != record.sha256:
                    raise IntegrityError(
                        f"its bytes are not those of the repodata, sha256 {record.sha256}",
                        where=str(path),
                        next_step="it was damaged or replaced by hand: delete it and run "
                        "`armtorch build` again",
                    )

    def _run_index(self, outdated: dict[str, set[str]], patch: str | None) -> None:
        for subdir, names in outdated.items():
            for path in (self.root / subdir / name for name in sorted(names)):
                if path.is_file() or path.is_symlink():
                    check_package(path, subdir)
        try:
            asyncio.run(
                index_fs(self.root, repodata_patch=patch, write_zst=True, write_shards=True)
            )
        except (CacheDirError, IoError) as error:  # what py-rattler makes of the indexer's errors
            raise StorageError(
                f"the channel cannot be indexed: {error}",
                where=str(self.root),
                next_step="check free space and permissions; the repodata of before is untouched",
            ) from error
        finally:
            shutil.rmtree(self.root / ".tmp", ignore_errors=True)

    def _outdated(self) -> dict[str, set[str]]:
        """Return per subdir the packages whose repodata record is missing, wrong or left over."""
        found: dict[str, set[str]] = {}
        for subdir in self._subdirs():
            if (self.root / subdir).is_symlink():
                raise IntegrityError(
                    "a link to a folder, which rattler's indexer passes over",
                    where=str(self.root / subdir),
                    next_step="put the folder itself there, or mount it",
                )
            repodata = self._source(subdir)
            sizes = {record.file_name: record.size for record in read_records(repodata)}
            there = {
                path.name: path.stat(follow_symlinks=False)
                for path in (self.root / subdir).glob("*.conda")
            }
            names = {
                name
                for name, stat in there.items()
                if not _describes(sizes.get(name), repodata, stat)
            } | (sizes.keys() - there.keys())
            if names:
                found[subdir] = names
        return found

    def _has_every_index(self) -> bool:
        # noarch must be there even when it is empty (CEP 26)
        return all(
            (self.root / subdir / name).is_file()
            for subdir in (*self._subdirs(), "noarch")
            for name in _INDEXES
        )

    def _subdirs(self) -> Iterable[str]:
        if not self.root.is_dir():
            return ()
        return sorted(
            path.name
            for path in self.root.iterdir()
            if path.is_dir()
            and not path.name.startswith(".")
            and (any(path.glob("*.conda")) or (path / REPODATA).is_file())
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the channel against other builders, and turn OSError into StorageError."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / ".armtorch.lock"):
                yield
        except OSError as error:
            raise StorageError(
                f"the channel cannot be written: {error.strerror or error}",
                where=str(error.filename or self.root),
                next_step="check free space and permissions, or choose another folder",
            ) from error


def _describes(size: int | None, repodata: Path, package: os.stat_result) -> bool:
    """Whether a record of ``size`` bytes in ``repodata`` is of the package as it is now."""
    return size == package.st_size and repodata.stat().st_mtime_ns >= package.st_mtime_ns


def _move(package: Path, target: Path, *, copy: bool) -> None:
    """Let ``target`` become ``package`` in one step, from another file system too."""
    part = target.with_name(target.name + ".part")
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
