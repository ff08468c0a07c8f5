"""A channel in a bucket of any S3 API, written by OpenDAL, the library rattler itself uses.

Nothing is ever overwritten blindly: a package goes up with ``If-None-Match: *``, a file that
several publishers change with ``If-Match``, and rattler's ``index_s3`` does the same. Whoever was
second reads again and goes on from there.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import opendal
from opendal import exceptions
from opendal.layers import RetryLayer, TimeoutLayer
from opendal.types import Metadata
from rattler.exceptions import CacheDirError, IoError
from rattler.index import S3Credentials, index_s3

from generator.channel.bucket_index import BucketIndex
from generator.channel.repodata import REPODATA, SIGS
from generator.channel.s3_access import S3Access
from generator.channel.sidecars import advertise
from generator.channel.stores import TRIES, Edit, Outgoing, outrun
from generator.documents import limits
from generator.errors import (
    ConflictError,
    DeclinedError,
    UnreachableError,
)
from generator.transport.parts import PartsFile

T = TypeVar("T")
#: S3 wants parts of 5 MiB or more; rattler's own uploader takes 10
_PART: Final = 10 << 20
_PARTS_AT_ONCE: Final = 4
#: the metadata that rattler's own uploader gives every package
_SHA256: Final = "package-sha256"
#: a file by which a store shows that it holds conditions
_PROBE: Final = ".armtorch-probe"


class S3Store:
    """A channel below ``s3://bucket/prefix``."""

    def __init__(self, bucket: str, prefix: str, access: S3Access) -> None:
        self._url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._access = access
        self._probed, self._probing = False, threading.Lock()
        #: what was uploaded just now, and is indexed without being read back
        self._sent: dict[str, Path] = {}
        waits = limits().wait
        settings = {
            "bucket": bucket,
            "root": f"/{prefix}",
            "endpoint": access.endpoint,
            "region": access.region,
            "access_key_id": access.access_key_id,
            "secret_access_key": access.secret_access_key,
            # only what was found above: no metadata service, no other profile
            "disable_config_load": "true",
            "disable_ec2_metadata": "true",
        }
        if access.session_token:
            settings["session_token"] = access.session_token
        if not access.path_style:
            settings["enable_virtual_host_style"] = "true"
        self._operator = (
            opendal.Operator("s3", **settings)
            .layer(TimeoutLayer(timeout=waits.answer, io_timeout=2 * waits.answer))
            .layer(RetryLayer(max_times=2, factor=2, jitter=True, min_delay=0.2, max_delay=5))
        )

    def packages(self) -> dict[str, int]:
        """Return every package file with its bytes."""
        return {path: size for path, size in self._files().items() if path.endswith(".conda")}

    def sidecars(self) -> tuple[str, ...]:
        """Return every file with attestations beside a package."""
        return tuple(path for path in self._files() if f".conda{SIGS}" in path)

    def _files(self) -> dict[str, int]:
        async def listed() -> dict[str, int]:
            entries = await self._operator.to_async_operator().list("", recursive=True)
            return {
                entry.path: entry.metadata.content_length
                async for entry in entries
                if entry.path.count("/") == 1
            }

        # opendal's list that blocks holds the interpreter's lock until it is answered
        with self._explained(""):
            return _in_time(listed())

    def subdirs(self) -> tuple[str, ...]:
        """Return the subdirs with packages, and noarch (CEP 26)."""
        return tuple(sorted({key.split("/", 1)[0] for key in self.packages()} | {"noarch"}))

    def has(self, path: str) -> bool:
        """Whether there is a file."""
        with self._explained(path):
            return self._operator.exists(path)

    def sha256(self, key: str) -> str:
        """Return a package's sha256, as its uploader noted it, else of its bytes."""
        with self._explained(key):
            noted = (self._operator.stat(key).user_metadata or {}).get(_SHA256)
        if noted:
            return noted
        digest = hashlib.sha256()
        with self.open(key) as file:
            while part := file.read(_PART):
                digest.update(part)
        return digest.hexdigest()

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, None where there is none."""
        with self._explained(path):
            try:
                return self._whole(path, self._operator.stat(path))
            except exceptions.NotFound:
                return None

    def _whole(self, path: str, known: Metadata) -> bytes:
        return self._read(path, known, min(known.content_length, limits().json.bytes))

    def _part(self, path: str, known: Metadata, offset: int, size: int) -> bytes:
        return self._read(path, known, size, offset)

    def _read(self, path: str, known: Metadata, expected: int, offset: int | None = None) -> bytes:
        """Read a file, or a part, in the time of an answer and of its bytes at the slowest speed.

        A layer's timeout is for one read, which a byte now and then keeps going for ever.
        """
        wait = limits().wait

        async def read() -> bytes:
            async with asyncio.timeout(wait.answer + expected / wait.slowest):
                operator = self._operator.to_async_operator()
                size = None if offset is None else expected
                return bytes(
                    await operator.read(path, if_match=known.etag, offset=offset, size=size)
                )

        return _in_time(read())

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """Open a file; reads become range requests."""
        with self._explained(path):
            known = self._operator.stat(path)
            raw = PartsFile(known.content_length, partial(self._part, path, known))
            with io.BufferedReader(raw, _PART) as file:
                yield file

    def _probe(self) -> None:
        """Refuse a store that does not hold conditions, before the first write of a run.

        Some that speak S3's API ignore the headers, and of two publishers one would lose its
        records without a word. The file stays, so that the next run needs no right to delete.
        Raises DeclinedError: the store took a write whose condition was not so.
        """
        with self._probing, self._explained(_PROBE):
            if self._probed:
                return
            header = "If-None-Match"
            try:
                for _ in range(2):  # where it is there already, the first write is refused
                    self._operator.write(_PROBE, b"", if_not_exists=True)
            except (exceptions.ConditionNotMatch, exceptions.Conflict):
                header = "If-Match"
                try:
                    self._operator.write(_PROBE, b"", if_match=f'"{"0" * 32}"')
                except (exceptions.ConditionNotMatch, exceptions.Conflict):
                    self._probed = True
                    return
        raise DeclinedError(
            f"it takes conditional writes and does not hold their condition ({header}): of two "
            "publishers one would lose its records",
            where=self._url,
            next_step="publish to a store that has conditional writes, as AWS, R2 and MinIO have; "
            "or to a folder, and copy that",
        )

    def fetch(self, path: str) -> tuple[bytes, str] | None:
        """Return a file with its version, None where there is none."""
        with self._explained(path):
            for _ in range(TRIES):
                try:
                    known = self._operator.stat(path)
                    return self._whole(path, known), known.etag or ""
                except exceptions.NotFound:
                    return None
                except exceptions.ConditionNotMatch:
                    continue
        raise outrun(f"{self._url}/{path}")

    def version(self, path: str) -> str | None:
        """Return a file's version, None where there is none."""
        with self._explained(path):
            try:
                return self._operator.stat(path).etag or ""
            except exceptions.NotFound:
                return None

    def write_if(self, path: str, content: bytes, version: str | None) -> bool:
        """Write a file whose version is still this, None for no file; False where it is not."""
        with self._explained(path):
            try:
                if version is None:
                    self._operator.write(path, content, if_not_exists=True)
                else:
                    self._operator.write(path, content, if_match=version)
            except (exceptions.ConditionNotMatch, exceptions.Conflict):
                return False
        return True

    def change(self, path: str, edit: Edit) -> None:
        """Let ``edit`` change a file by a conditional write; read again where that fails."""
        self._probe()
        for _ in range(TRIES):
            content, version = self.fetch(path) or (None, None)
            if (changed := edit(content)) is None or self.write_if(path, changed, version):
                return
        raise outrun(f"{self._url}/{path}")

    def put(self, package: Outgoing, *, replace: bool, advance: Callable[[int], None]) -> None:
        """Upload a package in parts; the name is taken only when all of them are there."""
        package.verify()
        self._probe()
        with self._explained(package.key):
            try:
                self._send(package, replace=replace, advance=advance)
                self._sent[package.key] = package.path
            except (exceptions.ConditionNotMatch, exceptions.Conflict) as error:
                # also where our own request came through and its answer did not
                if self.sha256(package.key) != package.record.sha256:
                    raise ConflictError(
                        "another publisher put other bytes under this name",
                        where=f"{self._url}/{package.key}",
                        next_step="raise the build number, or replace it with --force",
                    ) from error

    def _send(self, package: Outgoing, *, replace: bool, advance: Callable[[int], None]) -> None:
        writer = self._operator.open(
            package.key,
            "wb",
            if_not_exists=not replace,
            chunk=_PART,
            concurrent=_PARTS_AT_ONCE,
            content_type="application/octet-stream",
            user_metadata={_SHA256: package.record.sha256},
        )
        with package.path.open("rb") as file:
            while part := file.read(_PART):
                writer.write(part)
                advance(len(part))
        # not by `with`: an exception above must not make a part of the file the whole
        writer.close()

    def delete(self, path: str) -> None:
        """Remove an object."""
        with self._explained(path):
            self._operator.delete(path)

    def index(self, patch: str | None) -> str:
        """Edit the index, or let rattler make it, which reads again where it was outrun."""
        self._probe()
        if patch or self.sidecars():  # which rattler's indexer has an eye on
            self._index(patch, whole=True)
            return ""
        own = BucketIndex(self, self._sent)
        if not (why := own.edit()):
            return ""
        first = not self.has(f"noarch/{REPODATA}")
        self._index(None, whole=False)
        if own.derive(self.subdirs()):
            self._index(None, whole=True)
        return "" if first else why

    def _index(self, patch: str | None, *, whole: bool) -> None:
        access = self._access
        credentials = S3Credentials(
            endpoint_url=access.endpoint,
            region=access.region,
            access_key_id=access.access_key_id,
            secret_access_key=access.secret_access_key,
            session_token=access.session_token or None,
            addressing_style="path" if access.path_style else "virtual-host",
        )

        async def index() -> None:
            async with asyncio.timeout(limits().wait.index):
                await index_s3(
                    self._url,
                    credentials,
                    repodata_patch=patch,
                    write_zst=whole,
                    write_shards=whole,
                )

        try:
            _in_time(index())
            if advertise(self):  # which rattler keeps, and puts into all that it writes
                _in_time(index())
        except (CacheDirError, IoError, TimeoutError) as error:
            raise UnreachableError(
                f"the channel cannot be indexed: {_first_line(error)}",
                where=self._url,
                next_step="publish again: what was uploaded is skipped",
            ) from error

    @contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        """Turn what OpenDAL raises into the errors of this family, without its backtrace."""
        where = f"{self._url}/{path}"
        try:
            yield
        except (exceptions.PermissionDenied, exceptions.ConfigInvalid) as error:
            raise DeclinedError(
                _first_line(error), where=where, next_step="check the credentials and the bucket"
            ) from error
        except exceptions.NotFound as error:
            raise DeclinedError(
                "there is no such bucket or object", where=where, next_step="make the bucket"
            ) from error
        except (exceptions.Unexpected, exceptions.RateLimited, OSError) as error:
            raise UnreachableError(
                _first_line(error), where=where, next_step="run it again: what is there is skipped"
            ) from error


def _in_time(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except TimeoutError as error:
        raise TimeoutError("the answer did not come whole within its time") from error


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
