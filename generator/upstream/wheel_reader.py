"""Reads a wheel's METADATA, RECORD, WHEEL and entry points without downloading the wheel."""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from generator.console import Narrator
from generator.documents import limits, open_zip, read_member
from generator.errors import AbsentError, IntegrityError, MalformedError, UnsafeArchiveError
from generator.feedstock import Policies
from generator.model.accelerator import CUDA_LIBRARIES
from generator.model.wheel import MetadataOrigin
from generator.naming import is_bundled_place
from generator.upstream.archive import (
    Member,
    check_directory,
    check_record,
    check_wheel_file,
    newest,
    parse_record,
)
from generator.upstream.core_metadata import parse_console_scripts, parse_metadata
from generator.upstream.facts import FactsCache, MetadataFacts, WheelFacts
from generator.upstream.offers import Offer
from generator.upstream.reconstruction import beginning, rebuild
from generator.upstream.remote_bytes import (
    NoRangesError,
    RangedFile,
    directory_start,
    open_ranged,
    prefetch,
    reopen_ranged,
    save_whole,
)
from generator.upstream.session import Web
from generator.urls import local_path, public_url

#: says, in ``cuda: Optional[str] = '12.6'``, which CUDA it is (pytorch, torch/version.py.tpl)
VERSION_FILE: Final = "torch/version.py"
_CUDA_LINE: Final = re.compile(r"^cuda\b[^=\n]*=\s*['\"](\d+)\.(\d+)", re.MULTILINE)
_TEXTS: Final = ("METADATA", "WHEEL", "RECORD", "entry_points.txt")


@dataclass(frozen=True, kw_only=True)
class WheelReader:
    """Reads facts of wheels, from the cache, else from as few bytes as it takes."""

    web: Web
    cache: FactsCache
    policies: Policies
    narrator: Narrator

    def metadata(self, offer: Offer) -> MetadataFacts:
        """Return what METADATA says.

        Raises AbsentError, UnreachableError: the file is not there, or its server does not answer.
        MalformedError, IntegrityError: METADATA or the archive around it makes no sense.
        """
        # without a promised sha256 the index's copy of METADATA can still be known by its own
        key = offer.sha256 or offer.metadata_sha256
        if key and (known := self.cache.metadata.get(key)) is not None:
            return known
        if not key or not offer.has_metadata or not offer.metadata_sha256:
            return self.wheel(offer).metadata
        text = self.web.page(f"{offer.url}.metadata").content
        digest = _sha256(text)
        if digest != offer.metadata_sha256:
            raise IntegrityError(
                f"the index's METADATA has sha256 {digest}, promised is {offer.metadata_sha256}",
                where=public_url(f"{offer.url}.metadata"),
                next_step="report it to the index",
            )
        facts = MetadataFacts(sha256=digest, origin="pep658", metadata=parse_metadata(text, offer))
        self.cache.metadata.keep(key, facts)
        return facts

    def wheel(self, offer: Offer) -> WheelFacts:
        """Return everything the lock keeps; raises as :meth:`metadata` does.

        What has no sha256 yet is read anew each time: it may be another file tomorrow.
        """
        if offer.sha256 and (known := self.cache.wheels.get(offer.sha256)) is not None:
            return known
        return self._read_and_keep(offer)[0]

    def members(self, offer: Offer) -> Mapping[str, Member]:
        """Return the members that RECORD vouches for; raises as :meth:`metadata` does."""
        self.wheel(offer)
        kept = self.cache.records.get(offer.sha256) if offer.sha256 else None
        record = kept or self._read_and_keep(offer)[1]
        return parse_record(record, offer.filename)

    def bundled_cuda(self, offer: Offer) -> tuple[int, int] | None:
        """Return the CUDA line that torch/version.py states; None for a wheel without CUDA.

        Raises MalformedError: there are CUDA libraries, and no line is stated; else as
        :meth:`metadata` does.
        """
        if CUDA_LIBRARIES.isdisjoint(self.wheel(offer).libraries):
            return None
        there = VERSION_FILE in self.members(offer)
        found = stated_cuda(self.small_member(offer, VERSION_FILE)) if there else None
        if found is None:
            raise MalformedError(
                f"it has CUDA libraries, and {VERSION_FILE} does not say which CUDA that is",
                where=offer.filename,
                next_step="report it upstream",
            )
        return found

    def small_member(self, offer: Offer, path: str) -> bytes:
        """Return a member that RECORD lists, from the cache where any wheel had it before.

        Raises MalformedError: RECORD does not list it; else as :meth:`metadata` does.
        """
        if (expected := self.members(offer).get(path)) is None:
            what = f"it has no {path}"
            raise MalformedError(what, where=offer.filename, next_step="report it upstream")
        content = self.cache.members.get(expected.sha256)
        if content is None or _sha256(content) != expected.sha256:
            content = self.member(offer, path, expected)
            self.cache.members.keep(expected.sha256, content)
        return content

    def member(self, offer: Offer, path: str, expected: Member, twin: bytes = b"") -> bytes:
        """Return one member, held against RECORD; raises as :meth:`metadata` does.

        ``twin`` is the member of that name in another wheel: where the two differ by build-id and
        time only, the beginning of the member is enough to know all of it.
        """
        with self.opened(offer) as (archive, _):
            if (info := archive.NameToInfo.get(path)) is None:
                raise IntegrityError(
                    f"its RECORD lists {path}, which it does not have",
                    where=offer.filename,
                    next_step="run update again; if it stays so, report it upstream",
                )
            if twin and isinstance(archive.fp, RangedFile):
                content = rebuild(twin, beginning(archive.fp, info), info.CRC)
                if content is not None and _sha256(content) == expected.sha256:
                    return content
            prefetch(archive, [info])
            content = read_member(archive, path, offer.filename)
        if _sha256(content) != expected.sha256:
            raise IntegrityError(
                f"member {path} does not have the sha256 that RECORD promises",
                where=offer.filename,
                next_step="report it upstream",
            )
        return content

    @contextmanager
    def opened(self, offer: Offer) -> Iterator[tuple[zipfile.ZipFile, MetadataOrigin]]:
        """Open the wheel where it is, its directory checked; raises as :meth:`metadata` does."""
        if offer.size is not None:
            self.refuse_large(offer.filename, offer.size)
        path = local_path(offer.url)
        if path is not None:
            with _local(path) as file, _archive(file, offer, self.policies) as archive:
                yield archive, "whole"
            return
        try:
            remote = self._remote(offer)
        except NoRangesError as whole:
            with self._fetched(offer, whole) as file, _archive(file, offer, self.policies) as got:
                yield got, "whole"
            return
        with _archive(remote, offer, self.policies) as archive:
            yield archive, "range"

    def refuse_large(self, filename: str, size: int) -> None:
        """Raise UnsafeArchiveError for a wheel of more bytes than the policies allow."""
        limit = self.policies.maximum_wheel_bytes
        if size > limit:
            raise UnsafeArchiveError(
                f"{size:,} bytes, policies.maximum_wheel_bytes allows {limit:,}",
                where=filename,
                next_step="raise the limit if you trust it",
            )

    def _remote(self, offer: Offer) -> RangedFile:
        """Open the wheel by ranges, its central directory from the cache where it is kept."""
        sha256 = offer.sha256
        facts = self.cache.wheels.get(sha256) if sha256 else None
        directory = self.cache.directories.get(sha256) if sha256 else None
        if facts is not None and directory is not None:
            return reopen_ranged(self.web, offer.url, offer.filename, facts.size, directory)
        return open_ranged(self.web, offer.url, offer.filename, offer.size)

    @contextmanager
    def _fetched(self, offer: Offer, whole: NoRangesError) -> Iterator[IO[bytes]]:
        """Read on where a server without ranges began to send everything."""
        self.narrator.warn(
            f"{offer.filename}: its server does not do range requests, the whole file is read"
        )
        with tempfile.TemporaryDirectory(prefix="armtorch-") as folder:
            path = Path(folder) / "wheel"
            most = self.policies.maximum_wheel_bytes
            save_whole(
                self.web, whole.response, offer.filename, path, min(most, offer.size or most)
            )
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                if offer.sha256 and found != offer.sha256:
                    raise IntegrityError(
                        f"{offer.filename} has sha256 {found}, the index promises {offer.sha256}",
                        where=public_url(offer.url),
                        next_step="report it to the index",
                    )
                file.seek(0)
                yield file

    def _read_and_keep(self, offer: Offer) -> tuple[WheelFacts, bytes]:
        with self.opened(offer) as (archive, origin):
            facts, record = self._read(offer, archive, origin)
            if offer.sha256 and isinstance(archive.fp, RangedFile):
                archive.fp.seek(directory_start(archive))
                self.cache.directories.keep(offer.sha256, archive.fp.read())
        if offer.sha256:
            self.cache.metadata.keep(offer.sha256, facts.metadata)
            self.cache.records.keep(offer.sha256, record)
            self.cache.wheels.keep(offer.sha256, facts)
        return facts, record

    def _read(
        self, offer: Offer, archive: zipfile.ZipFile, origin: MetadataOrigin
    ) -> tuple[WheelFacts, bytes]:
        infos, where = archive.infolist(), offer.filename
        dist_info = _dist_info(infos, offer)
        wanted = {name: f"{dist_info}/{name}" for name in _TEXTS}
        prefetch(
            archive,
            [archive.NameToInfo[path] for path in wanted.values() if path in archive.NameToInfo],
        )
        texts = {
            name: read_member(archive, path, where)
            for name, path in wanted.items()
            if name != "entry_points.txt" or path in archive.NameToInfo
        }
        members = parse_record(texts["RECORD"], where)
        check_record(members, infos, dist_info, where)
        for name, text in texts.items():
            listed = members.get(f"{dist_info}/{name}")
            if listed is not None and _sha256(text) != listed.sha256:
                raise IntegrityError(
                    f"{name} does not have the sha256 that RECORD promises",
                    where=where,
                    next_step="report it upstream",
                )
        check_wheel_file(texts["WHEEL"], where)
        metadata = MetadataFacts(
            sha256=_sha256(texts["METADATA"]),
            origin=origin,
            metadata=parse_metadata(texts["METADATA"], offer, members),
        )
        self._check_pep658(offer, metadata)
        facts = WheelFacts(
            metadata=metadata,
            record=_sha256(texts["RECORD"]),
            timestamp=newest(infos),
            console_scripts=parse_console_scripts(texts.get("entry_points.txt", b""), where),
            libraries=_libraries(members, offer.project),
            bundled=tuple(sorted(filter(is_bundled_place, members))),
            size=_size(archive),
            unpacked=sum(info.file_size for info in infos),
        )
        most = limits().zip.listed
        named = (metadata.metadata.license_files, facts.console_scripts)
        if any(len(each) > most for each in (*named, facts.libraries, facts.bundled)):
            raise MalformedError(
                f"it has more than {most:,} licence texts, commands or libraries",
                where=where,
                next_step="report it upstream",
            )
        return facts, texts["RECORD"]

    @staticmethod
    def _check_pep658(offer: Offer, metadata: MetadataFacts) -> None:
        """PEP 658 demands that the index's copy and the wheel's own METADATA are the same bytes."""
        if offer.metadata_sha256 and offer.metadata_sha256 != metadata.sha256:
            raise IntegrityError(
                f"its METADATA has sha256 {metadata.sha256}, the index's copy is said to have "
                f"{offer.metadata_sha256}",
                where=offer.filename,
                next_step="report it to the index",
            )


def stated_cuda(content: bytes) -> tuple[int, int] | None:
    """Return the CUDA line that VERSION_FILE states, if it does."""
    match = _CUDA_LINE.search(content.decode("utf-8", "replace"))
    return None if match is None else (int(match[1]), int(match[2]))


def _size(archive: zipfile.ZipFile) -> int:
    return cast("IO[bytes]", archive.fp).seek(0, io.SEEK_END)


@contextmanager
def _archive(
    file: IO[bytes] | RangedFile, offer: Offer, policies: Policies
) -> Iterator[zipfile.ZipFile]:
    size = file.seek(0, io.SEEK_END)
    if offer.size is not None and size != offer.size:
        raise IntegrityError(
            f"it has {size:,} bytes, the index says {offer.size:,}",
            where=offer.filename,
            next_step="run update again; if it stays so, report it to the index",
        )
    with open_zip(cast("IO[bytes]", file), offer.filename) as archive:
        check_directory(
            archive.infolist(),
            archive_size=size,
            ratio=policies.maximum_unpacked_ratio,
            where=offer.filename,
        )
        yield archive


def _dist_info(infos: list[zipfile.ZipInfo], offer: Offer) -> str:
    tops = {info.filename.split("/", 1)[0] for info in infos if ".dist-info/" in info.filename}
    found = sorted(top for top in tops if top.endswith(".dist-info"))
    if len(found) != 1:
        raise MalformedError(
            f"it has {len(found)} dist-info folders",
            where=offer.filename,
            next_step="report it upstream",
        )
    return found[0]


@contextmanager
def _local(path: Path) -> Iterator[IO[bytes]]:
    if not path.is_file():  # a pipe in a wheel's place would be waited for
        raise _not_here(path, "there is no such file")
    try:
        file = path.open("rb")
    except OSError as error:
        raise _not_here(path, f"cannot be read: {error.strerror}") from error
    with file:
        yield file


def _not_here(path: Path, what: str) -> AbsentError:
    return AbsentError(what, where=str(path), next_step="put the file back, or update again")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _libraries(members: Mapping[str, Member], project: str) -> tuple[str, ...]:
    """File names directly below ``<project>/lib/`` and auditwheel's ``<project>.libs/``."""
    folders = (f"{project}/lib", f"{project}.libs")
    return tuple(
        sorted(
            name
            for path in members
            for folder, _, name in [path.rpartition("/")]
            if folder in folders
        )
    )
