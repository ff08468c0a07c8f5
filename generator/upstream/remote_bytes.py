"""A remote file as a seekable one: reads only the ranges somebody looks at (RFC 9110 section 14).

The end of a wheel holds its central directory and, by habit of every build tool, its dist-info
just before that, so a wheel's facts are two or three range requests.
"""

from __future__ import annotations

import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import requests

from generator.errors import IntegrityError, MalformedError, UnreachableError, UnsafeArchiveError
from generator.transport import from_status, typed
from generator.transport.parts import Elsewhere
from generator.upstream.session import Web
from generator.urls import public_url

#: bytes of the first read, which for a small wheel is the only one
TAIL: Final = 64 * 1024
#: nobody needs more of a wheel in one piece; a central directory that asks for it is an attack
MAXIMUM_READ: Final = 128 * 1024 * 1024
#: reads ``[first, last)`` of something, exactly
Ranges = Callable[[int, int], bytes]
_CONTENT_RANGE = re.compile(
    r"bytes (?P<first>\d{1,19})-(?P<last>\d{1,19})/(?P<total>\d{1,19})", re.ASCII
)


class NoRangesError(Exception):
    """The server answered a range request with the whole file; ``response`` is not read yet."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__("the server does not do range requests")
        self.response = response


class RangedFile(Elsewhere):
    """One over a function that reads ranges; keeps every range it read."""

    def __init__(self, read: Ranges, size: int, tail: bytes) -> None:
        super().__init__(size)
        self._read = read
        self._parts: list[tuple[int, bytes]] = [(size - len(tail), tail)]

    def part(self, first: int, last: int) -> bytes:
        """Return bytes, asking for those that are not there."""
        self.prefetch(first, last)
        start, part = next(p for p in self._parts if p[0] <= first and last <= p[0] + len(p[1]))
        return part[first - start : last - start]

    def prefetch(self, first: int, last: int) -> None:
        """Make sure that ``[first, last)`` is there in one piece, asking only for what is not.

        Raises UnsafeArchiveError: more than ``MAXIMUM_READ`` bytes are wanted at once.
        """
        if any(start <= first and last <= start + len(part) for start, part in self._parts):
            return
        if last - first > MAXIMUM_READ:
            raise UnsafeArchiveError(
                f"the archive wants {last - first:,} bytes read in one piece",
                next_step="do not use this file; report it upstream",
            )
        behind = [p for p in self._parts if first < p[0] <= last <= p[0] + len(p[1])]
        if behind:
            start, part = behind[0]
            self._parts.remove(behind[0])
            self._parts.append((first, self._read(first, start) + part))
        else:
            self._parts.append((first, self._read(first, last)))


def open_ranged(web: Web, url: str, filename: str, size: int | None) -> RangedFile:
    """Read the tail of ``url`` and return the file it is the tail of.

    Raises NoRangesError: the server sends the whole file; the response can be read on.
    AbsentError, UnreachableError: as the server says, or does not.
    IntegrityError: the file is not as long as the index says.
    """
    wanted = f"bytes={max(0, size - TAIL)}-{size - 1}" if size else f"bytes=-{TAIL}"
    tail, total = _patiently(web, lambda: _range(web, url, filename, wanted), url)
    if size is not None and total != size:
        raise IntegrityError(
            f"{filename} has {total:,} bytes, the index says {size:,}",
            where=public_url(url),
            next_step="run update again; if it stays so, report it to the index",
        )
    return reopen_ranged(web, url, filename, total, tail)


def reopen_ranged(web: Web, url: str, filename: str, size: int, tail: bytes) -> RangedFile:
    """Return a remote file of ``size`` bytes whose ``tail`` is known already; reads nothing yet.

    What is read later raises as :func:`open_ranged` does, but for NoRangesError: a server or a
    mirror that stopped doing ranges since then has its whole answers read up to what is wanted.
    """

    def read(first: int, last: int) -> bytes:
        def ask() -> tuple[bytes, int]:
            try:
                return _range(web, url, filename, f"bytes={first}-{last - 1}")
            except NoRangesError as whole:
                return _cut_out(web, whole.response, filename, (first, last), size)

        content, total = _patiently(web, ask, url)
        if total != size or len(content) != last - first:
            raise IntegrityError(
                f"{filename} changed while it was read",
                where=public_url(url),
                next_step="run update again",
            )
        return content

    return RangedFile(read, size, tail)


def prefetch(archive: zipfile.ZipFile, wanted: list[zipfile.ZipInfo]) -> None:
    """Ask for members in one range where they stand together, as the dist-info of wheels does."""
    if not isinstance(archive.fp, RangedFile) or not wanted:
        return
    offsets = [info.header_offset for info in wanted]
    first, latest = min(offsets), max(offsets)
    starts = (info.header_offset for info in archive.infolist())
    last = min((start for start in starts if start > latest), default=directory_start(archive))
    needed = sum(info.compress_size for info in wanted)
    if last - first < 2 * needed + TAIL:
        archive.fp.prefetch(first, last)


def directory_start(archive: zipfile.ZipFile) -> int:
    """Where the central directory begins, in bytes from the start of the file."""
    return int(archive.start_dir)


def save_whole(
    web: Web, response: requests.Response, filename: str, target: Path, limit: int
) -> None:
    """Write the body of ``response`` to ``target``, refusing more than ``limit`` bytes.

    Raises UnreachableError: the body broke off. UnsafeArchiveError: it is longer than the policy
    allows.
    """
    done = 0
    with typed(response.url), response, target.open("wb") as file:
        for chunk in response.iter_content(1 << 20):
            done += len(chunk)
            if done > limit:
                raise UnsafeArchiveError(
                    f"{filename} is larger than its index says, or than "
                    f"policies.maximum_wheel_bytes ({limit:,})",
                    where=public_url(response.url),
                    next_step="report it to the index, or raise the limit if you trust it",
                )
            file.write(chunk)
    web.traffic.count_wheel(filename, done)


def _range(web: Web, url: str, filename: str, wanted: str) -> tuple[bytes, int]:
    """Do one range request; return its bytes and the length of the whole file."""
    response = web.wheels.get(
        url,
        headers={"Range": wanted, "Accept-Encoding": "identity"},
        stream=True,
    )
    if response.status_code == requests.codes.ok:
        raise NoRangesError(response)
    with response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            raise IntegrityError(
                f"{filename} is shorter than the index says",
                where=public_url(url),
                next_step="run update again",
            )
        if response.status_code != requests.codes.partial_content:
            raise from_status(response.status_code, url)
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None:
            raise MalformedError(
                "a partial answer that does not say which part it is",
                where=public_url(url),
                next_step="report it to the index",
            )
        first, last, total = (int(match[name]) for name in ("first", "last", "total"))
        if (first, last) != _meant(wanted, total):
            raise MalformedError(
                "the server sent another part than was asked for",
                where=public_url(url),
                next_step="report it to the index",
            )
        content = _bounded(response, last + 1 - first)
    web.traffic.count_wheel(filename, len(content))
    if len(content) != last + 1 - first:  # a body that ends with its connection tells nothing else
        msg = f"a part of {len(content):,} bytes, other than asked for"
        raise requests.exceptions.ChunkedEncodingError(msg)
    return content, total


def _cut_out(
    web: Web, response: requests.Response, filename: str, part: tuple[int, int], size: int
) -> tuple[bytes, int]:
    """Read the whole file's answer up to ``part``; return that part and the file's length.

    Where the server does not say the length it is taken to be ``size``: RECORD judges the rest.
    """
    first, last = part
    done, kept = 0, bytearray()
    with response:
        coded = "Content-Encoding" in response.headers  # then the length is that of the coded bytes
        length = "0" if coded else response.headers.get("Content-Length", "0")
        for chunk in response.iter_content(1 << 20):
            kept += chunk[max(0, first - done) : max(0, last - done)]
            done += len(chunk)
            if done >= last:
                break
    web.traffic.count_wheel(filename, done)
    said = int(length) if re.fullmatch("[0-9]{1,18}", length) else 0
    return bytes(kept), said or size


def _bounded(response: requests.Response, length: int) -> bytes:
    """Read a body, and of one that is longer than it should be no more than shows that."""
    content = bytearray()
    for chunk in response.iter_content(1 << 20):
        content += chunk
        if len(content) > length:
            break
    return bytes(content)


def _meant(wanted: str, total: int) -> tuple[int, int]:
    """Return the first and last byte that a Range header asks for in a file of ``total`` bytes."""
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, total - int(last)), total - 1
    return int(first), min(int(last), total - 1)


def _patiently(web: Web, ask: Callable[[], tuple[bytes, int]], url: str) -> tuple[bytes, int]:
    """Ask again when the body breaks off: urllib3 retries requests, not bodies."""
    attempt = 0
    while True:
        try:
            with typed(url):
                return ask()
        except UnreachableError as error:
            broken = isinstance(error.__cause__, requests.exceptions.ChunkedEncodingError)
            if not broken or attempt == web.policy.retries:
                raise
        time.sleep(web.policy.backoff_seconds * 2**attempt)
        attempt += 1
