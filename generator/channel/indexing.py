"""Brings the index of a channel's folder up to date: by editing it, or by rattler's indexer.

rattler says what a package's record is. Of an index that is as it was left (:class:`Kept`) it
reads the new packages alone, and their records are put among the others; of any other it reads what
has no record yet. It writes every file below ``.tmp`` and renames it (seen with strace, py-rattler
0.28), so that a run that is killed leaves the repodata of before. What it does not notice is a
package that was replaced under its name; that is found out here.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from rattler.exceptions import CacheDirError, IoError
from rattler.index import index_fs

from generator.atomic import write_bytes
from generator.channel.checking import check_package
from generator.channel.derived import Kept, derive, digest_of
from generator.channel.repodata import REPODATA, SIGS, UNPATCHED, Repodata
from generator.documents import limits, read_bytes
from generator.errors import IntegrityError, StorageError

#: rattler's name for files that are not finished
_TEMPORARY: Final = ".tmp"
#: names of subdirs, such as linux-aarch64, zos-z, noarch (CEP 26): a client asks for no others
_SUBDIR: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)?")
#: what an index run did, where it did not make all of it anew for some reason
SETTLED, EDITED, MADE = "", "edited", "made"


@dataclass(frozen=True, kw_only=True)
class _Subdir:
    """A subdir as it is."""

    folder: Path
    #: the repodata that the indexer goes on from, and where it lies
    path: Path
    source: Repodata | None
    #: packages whose record is missing, wrong or left over
    outdated: frozenset[str]

    @property
    def new(self) -> list[Path]:
        paths = (self.folder / name for name in sorted(self.outdated))
        return [path for path in paths if os.path.lexists(path)]


def index(root: Path, patch: str = "") -> str:
    """Bring the repodata up to date with the packages; the channel must be locked.

    ``patch`` is the file name of a package in noarch with patch instructions. Returned is SETTLED,
    EDITED, MADE where there was no index, or why it was made anew.
    Raises IntegrityError: a package or the repodata is damaged. StorageError: no space, or not
    writable.
    """
    found = [_read(root / name) for name in subdirs(root)]
    kept = Kept.read(root)
    why = _why_anew(root, found, kept, patch)
    if kept is not None and not why and not any(each.outdated for each in found):
        return SETTLED
    for each in found:
        _refuse_changed(each)
        for path in each.new:
            check_package(path, each.folder.name)
    # files are renamed one by one: until all are there, the index is not whole
    Kept.forget(root)
    with _writing(root):
        if kept is None or why:
            files = _made_anew(root, found, patch)
        else:
            files = kept.subdirs | {
                each.folder.name: _edit(root, each, patch) for each in found if each.outdated
            }
    if files is not None:
        Kept(patch=patch, subdirs=files).write(root)
    return why or EDITED


def subdirs(root: Path) -> list[str]:
    """Return the folders that have packages or an index, and the name of a subdir."""
    if not root.is_dir():
        return []
    return sorted(
        path.name
        for path in root.iterdir()
        if path.is_dir()
        and _SUBDIR.fullmatch(path.name)
        and ((path / REPODATA).is_file() or any(path.glob("*.conda")))
    )


def package_files(folder: Path, beside: str = "") -> dict[str, os.stat_result]:
    """Return the packages of a subdir, and what their files are; links are not followed.

    ``beside``: what their names are followed by in those of other files, which are looked at then.
    """
    try:
        with os.scandir(folder) as entries:
            return {
                entry.name.removesuffix(beside): entry.stat(follow_symlinks=False)
                for entry in entries
                if entry.name.endswith(f".conda{beside}")
            }
    except FileNotFoundError:
        return {}


def source_of(folder: Path) -> Path:
    """Return the repodata that the indexer goes on from: the one without patches."""
    unpatched = folder / UNPATCHED
    return unpatched if unpatched.is_file() else folder / REPODATA


def describes(size: int | None, written: int, package: os.stat_result) -> bool:
    """Whether a record of ``size`` bytes, ``written`` at that ns, is of the package as it is."""
    return size == package.st_size and written >= package.st_mtime_ns


def refuse_links(folder: Path) -> None:
    """Raise IntegrityError where a subdir, or its shards, lie outside of the channel."""
    for path in (folder, folder / "shards"):
        if path.is_symlink():
            raise IntegrityError(
                "a link to a folder, which rattler's indexer passes over",
                where=str(path),
                next_step="put the folder itself there, or mount it",
            )


def _read(folder: Path) -> _Subdir:
    refuse_links(folder)
    path = source_of(folder)
    source = Repodata.read(path)
    said = {name: source.says(name) for name in source.rows} if source is not None else {}
    there, sidecars = package_files(folder), package_files(folder, SIGS)
    written = path.stat().st_mtime_ns if source is not None else 0
    stale = {
        name
        for name, stat in there.items()
        if name not in said
        or not describes(said[name].size, written, stat)
        or (said[name].attestations_sha256 is None) != (name not in sidecars)
        or (name in sidecars and sidecars[name].st_mtime_ns > written)
    }
    outdated = frozenset(stale | (said.keys() - there.keys()))
    return _Subdir(folder=folder, path=path, source=source, outdated=outdated)


def _why_anew(root: Path, found: Collection[_Subdir], kept: Kept | None, patch: str) -> str:
    """Say why the index cannot be edited; "" where it can."""
    if all(each.source is None for each in found):
        return MADE
    if kept is None:
        return "armtorch did not leave its index whole"
    if kept.patch != patch:
        return "other hotfixes apply to it"
    if {each.folder.name for each in found} != kept.subdirs.keys():
        return "it has other subdirs"
    known = {
        f"{each.folder.name}/{each.path.name}": each.source.digest
        for each in found
        if each.source is not None
    }
    return "" if kept.fits(root, known) else "its index is not as armtorch left it"


def _refuse_changed(subdir: _Subdir) -> None:
    for path in subdir.new:
        if subdir.source is None or path.name not in subdir.source.rows:
            continue
        sha256 = subdir.source.says(path.name).sha256
        if path.is_file() and digest_of(path) != sha256:
            raise IntegrityError(
                f"its bytes are not those of the repodata, sha256 {sha256}",
                where=str(path),
                next_step="it was damaged or replaced by hand: delete it and run "
                "`armtorch build` again",
            )


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    with suppress(OSError):
        (root / _TEMPORARY).unlink()  # a link would lead out of the channel
    shutil.rmtree(root / _TEMPORARY, ignore_errors=True)  # of runs that were killed
    try:
        yield
    except (CacheDirError, IoError) as error:  # what py-rattler makes of the indexer's errors
        raise StorageError(
            f"the channel cannot be indexed: {error}",
            where=str(root),
            next_step="check free space and permissions; the repodata of before is untouched",
        ) from error
    finally:
        shutil.rmtree(root / _TEMPORARY, ignore_errors=True)


def _run(root: Path, patch: str, *, whole: bool) -> None:
    """Let rattler write repodata.json, and all that is made of it where that is not ours."""
    asyncio.run(index_fs(root, repodata_patch=patch or None, write_zst=whole, write_shards=whole))


def _made_anew(
    root: Path, found: Collection[_Subdir], patch: str
) -> dict[str, dict[str, str]] | None:
    """Let rattler bring all subdirs up to date; None where they have what is not edited here."""
    for each in found:
        if each.source is not None and each.outdated:
            write_bytes(each.path, each.source.edited(each.outdated, {}))
    _run(root, patch, whole=False)
    files = {}
    for name in subdirs(root):
        folder = root / name
        sidecars = _sidecars(folder, package_files(folder, SIGS))
        for path in (folder / UNPATCHED, folder / REPODATA):
            if sidecars and (before := Repodata.read(path)) is not None:
                write_bytes(path, before.edited((), before.advertised(sidecars)))
        content = (folder / REPODATA).read_bytes()
        repodata = Repodata.parse(content, str(folder / REPODATA))
        if repodata.others:
            _run(root, patch, whole=True)
            return None
        files[name] = _digests(folder) | derive(folder, content, repodata, None)
    return files


def _edit(root: Path, subdir: _Subdir, patch: str) -> dict[str, str]:
    """Put the records of a subdir's new packages among the others."""
    new, files = _indexed_alone(root, subdir, patch), {}
    for path in {subdir.path, subdir.folder / REPODATA}:
        before = subdir.source if path == subdir.path else Repodata.read(path)
        assert before is not None  # noqa: S101 - the kept digests say that it is there
        content = before.edited(subdir.outdated, new[path.name])
        write_bytes(path, content)
        files[path.name] = hashlib.sha256(content).hexdigest()
        if path.name == REPODATA:
            found = Repodata.parse(content, str(path))
            files |= derive(subdir.folder, content, found, subdir.outdated)
    return files


def _digests(folder: Path) -> dict[str, str]:
    found = {name: digest_of(folder / name) for name in (REPODATA, UNPATCHED)}
    return {name: digest for name, digest in found.items() if digest}


def _indexed_alone(root: Path, subdir: _Subdir, patch: str) -> dict[str, dict[str, msgspec.Raw]]:
    """Return what rattler says of a subdir's new packages, by the file that it says it in."""
    alone = root / _TEMPORARY / "alone"
    folder = alone / subdir.folder.name
    names = [path.name for path in subdir.new]
    sidecars = _sidecars(subdir.folder, package_files(subdir.folder, SIGS).keys() & {*names})
    if not names:
        return {REPODATA: {}, UNPATCHED: {}}
    for path in subdir.new:
        link(path, folder / path.name)
    if patch:
        link(root / "noarch" / patch, alone / "noarch" / patch)
    _run(alone, patch, whole=False)
    read = {name: Repodata.read(folder / name) for name in (REPODATA, UNPATCHED)}
    return {
        name: {each: repodata.rows[each] for each in names} | repodata.advertised(sidecars)
        for name, repodata in read.items()
        if repodata is not None
    }


def _sidecars(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the digests of packages' sidecars, each of which is there under its digest, too."""
    found = {}
    for name in sorted(names):
        content = read_bytes(folder / f"{name}{SIGS}", limits().json.bytes)
        found[name] = hashlib.sha256(content).hexdigest()
        fixed = folder / f"{name}{SIGS}.{found[name]}"
        if not fixed.is_file():
            write_bytes(fixed, content)
    return found


def link(path: Path, target: Path) -> None:
    """Put a package there, without a second copy where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        shutil.copyfile(path, target)
