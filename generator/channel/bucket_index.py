"""The index of a bucket, edited as that of a folder is: on copies, put back by conditional writes.

Whoever writes a repodata.json has read before it the versions of what is made from it, writes those
only where they are these, and begins again where another publisher was faster: so the last one who
writes them has made them from the last repodata.json. What a publisher left that was killed in
between does not fit the digests that are kept, and is made anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from rattler.index import index_fs

from generator.channel.checking import check_package
from generator.channel.derived import KEPT, SHARDS, ZST, Kept, derive
from generator.channel.indexing import link
from generator.channel.repodata import REPODATA, Repodata
from generator.channel.stores import TRIES, outrun

if TYPE_CHECKING:  # it makes this
    from generator.channel.s3 import S3Store

#: seconds for another publisher to finish who is writing just now, each time it is looked at
_PAUSES: Final = (0.5, 1.0, 2.0)
_UPLOADS_AT_ONCE: Final = 8


class _FasterError(Exception):
    """Another publisher changed what was read."""


@dataclass
class BucketIndex:
    """Edits a bucket's index, or makes what is derived from a repodata.json that was made anew."""

    store: S3Store
    #: where packages that were uploaded just now lie here, by key
    sent: Mapping[str, Path]
    #: what this run wrote itself: subdir -> file -> digest
    _mine: dict[str, dict[str, str]] = field(default_factory=dict)

    def edit(self) -> str:
        """Bring the index up to date; return why that takes a new one, "" where it was done.

        Raises UnreachableError, IntegrityError: as of the store, and of packages that are damaged.
        """
        why = ""
        for pause in (0.0, *_PAUSES):
            time.sleep(pause)
            if not (why := self._until_alone(self._edit)):
                return ""
        return why

    def derive(self, subdirs: Iterable[str]) -> str:
        """Make what is derived from each repodata.json; return why it cannot be done here."""
        names = sorted(subdirs)
        return self._until_alone(lambda: self._derive(names))

    def _until_alone(self, step: Callable[[], str]) -> str:
        for _ in range(TRIES):
            try:
                return step()
            except _FasterError:
                continue
        raise outrun(KEPT)

    def _edit(self) -> str:
        before = self.store.fetch(KEPT)
        kept = Kept.parse(before[0]) if before is not None else None
        if before is None or kept is None or kept.patch:
            return "armtorch did not leave its index whole"
        there: dict[str, dict[str, int]] = {subdir: {} for subdir in kept.subdirs}
        for key, size in self.store.packages().items():
            subdir, name = key.split("/", 1)
            if subdir not in there:
                return "it has other subdirs"
            there[subdir][name] = size
        files = dict(kept.subdirs)
        for subdir, packages in there.items():
            known = self._known(subdir, kept)
            if known is None:
                return "its index is not as armtorch left it"
            found, version, files[subdir] = known
            sizes = {name: found.says(name).size for name in found.rows}
            outdated = {
                name
                for name in sizes.keys() | packages.keys()
                if sizes.get(name) != packages.get(name)
            }
            if outdated and not self._put(subdir, found, version, files, outdated, packages):
                return "its index is not as armtorch left it"
        self._keep(files, before[1], kept)
        return ""

    def _known(self, subdir: str, kept: Kept) -> tuple[Repodata, str, dict[str, str]] | None:
        read = self.store.fetch(f"{subdir}/{REPODATA}")
        if read is None:
            return None
        found = Repodata.parse(read[0], f"{subdir}/{REPODATA}")
        for files in (kept.subdirs[subdir], self._mine.get(subdir, {})):
            if files.keys() == {REPODATA, ZST, SHARDS} and files[REPODATA] == found.digest:
                return found, read[1], files
        return None

    def _put(
        self,
        subdir: str,
        found: Repodata,
        version: str,
        files: dict[str, dict[str, str]],
        outdated: set[str],
        packages: Mapping[str, int],
    ) -> bool:
        """Edit one subdir; False where what is derived from its repodata.json is not as it was."""
        with tempfile.TemporaryDirectory(prefix="armtorch-index-") as name:
            folder = Path(name, subdir)
            folder.mkdir()
            versions: dict[str, str | None] = {REPODATA: version}
            for file in (ZST, SHARDS):
                derived = self.store.fetch(f"{subdir}/{file}")
                if derived is None or _digest(derived[0]) != files[subdir][file]:
                    return False
                (folder / file).write_bytes(derived[0])
                versions[file] = derived[1]
            # they were read before the repodata.json that they are written for
            if self.store.version(f"{subdir}/{REPODATA}") != version:
                raise _FasterError
            new = self._records(Path(name, "alone", subdir), sorted(outdated & packages.keys()))
            content = found.edited(outdated, new)
            files[subdir] = self._write(folder, content, versions, outdated)
        return True

    def _records(self, folder: Path, names: list[str]) -> dict[str, msgspec.Raw]:
        """Return what rattler says of packages, those that lie here or else the bucket's."""
        if not names:
            return {}
        folder.mkdir(parents=True)
        for name in names:
            key = f"{folder.name}/{name}"
            if key in self.sent:
                link(self.sent[key], folder / name)
            else:
                with self.store.open(key) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
            check_package(folder / name, folder.name)
        asyncio.run(index_fs(folder.parent, write_zst=False, write_shards=False))
        found = Repodata.read(folder / REPODATA)
        return {name: found.rows[name] for name in names} if found is not None else {}

    def _derive(self, subdirs: list[str]) -> str:
        before = self.store.fetch(KEPT)
        files = {}
        for subdir in subdirs:
            versions = {file: self.store.version(f"{subdir}/{file}") for file in (ZST, SHARDS)}
            read = self.store.fetch(f"{subdir}/{REPODATA}")
            if read is None:
                continue
            if Repodata.parse(read[0], subdir).others:
                return "it has records that are not of .conda files"
            with tempfile.TemporaryDirectory(prefix="armtorch-index-") as name:
                folder = Path(name, subdir)
                folder.mkdir()
                files[subdir] = self._write(folder, read[0], versions, None)
        self._keep(files, before[1] if before is not None else None, None)
        return ""

    def _write(
        self,
        folder: Path,
        content: bytes,
        versions: Mapping[str, str | None],
        outdated: set[str] | None,
    ) -> dict[str, str]:
        """Write shards, then what names them; return the digest of each file."""
        subdir = folder.name
        made = derive(folder, content, Repodata.parse(content, subdir), outdated)
        with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
            # one that is there is the same: its name is its digest
            list(pool.map(lambda path: self._bring(subdir, path), folder.glob("shards/*")))
        for file, written in self._files(folder, content):
            if file in versions and not self.store.write_if(
                f"{subdir}/{file}", written, versions[file]
            ):
                raise _FasterError
        self._mine[subdir] = {REPODATA: _digest(content), **made}
        return self._mine[subdir]

    def _bring(self, subdir: str, path: Path) -> None:
        self.store.write_if(f"{subdir}/shards/{path.name}", path.read_bytes(), None)

    @staticmethod
    def _files(folder: Path, content: bytes) -> Iterator[tuple[str, bytes]]:
        yield REPODATA, content
        for file in (ZST, SHARDS):
            yield file, (folder / file).read_bytes()

    def _keep(
        self, files: dict[str, dict[str, str]], version: str | None, kept: Kept | None
    ) -> None:
        now = Kept(patch="", subdirs=files)
        if now != kept and not self.store.write_if(KEPT, msgspec.json.encode(now), version):
            raise _FasterError


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
