"""Downloads one wheel: resumes behind what it has, verifies while it streams, gives up in time."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final, Protocol

import requests

from generator.atomic import write_text
from generator.building.policy import FetchPolicy
from generator.console import Narrator, Task
from generator.documents import load_json, read_bytes
from generator.errors import AbsentError, IntegrityError, MalformedError, UnreachableError
from generator.transport import typed
from generator.urls import public_url

BLOCK: Final = 1 << 20
#: bytes of the note beside a part at most
_NOTE: Final = 1 << 16
#: read from a connection at a time; what a broken one sent since the last whole one is lost
_PACKET: Final = 1 << 16
#: answers that say "later" and not "no": RFC 9110, 15.5.9 and 15.6; RFC 6585, 4
_LATER: Final = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Fetching:
    """What every download of a run shares."""

    rules: FetchPolicy
    #: set when the run is being stopped
    stop: Event
    narrator: Narrator
    task: Task
    connect: Callable[[], requests.Session]


class Wanted(Protocol):
    """A file that is wanted; a Wheel is one."""

    @property
    def filename(self) -> str:
        """How messages call it."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def sha256(self) -> str | None:
        """What its bytes must have; None where nobody knows it yet."""


class _Interrupted(Exception):  # noqa: N818 - not an error: the transfer is to be tried again
    """A transfer ended early; ``wait`` is the server's wish in seconds, if it had one."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.why, self.wait = why, wait


def download(url: str, wheel: Wanted, target: Path, source: Fetching) -> str:
    """Bring ``url`` to ``target``, which appears only when whole and verified; return its sha256.

    Raises AbsentError: the server answers that it does not have the file. UnreachableError: it does
    not answer, or breaks off, ``rules.attempts`` times in a row without a further byte.
    IntegrityError: whole, and not the bytes of ``wheel.sha256``.
    """
    transfer = _Transfer(url, wheel, target.with_name(target.name + ".part"), source)
    failures, furthest = 0, transfer.have
    with source.connect() as session:
        while True:
            try:
                transfer.go_on(session)
            except _Interrupted as stop:
                # starting over and coming as far as before is no progress, nor is a drip
                enough = min(source.rules.progress, wheel.size - furthest)
                failures = 1 if transfer.have - furthest >= max(1, enough) else failures + 1
                furthest = max(furthest, transfer.have)
                if failures >= source.rules.attempts or source.stop.is_set():
                    raise UnreachableError(
                        f"{stop.why}, {failures} times without progress; "
                        f"{transfer.have} of {wheel.size} bytes are kept",
                        where=public_url(url),
                        next_step="run the same command again later; it resumes",
                    ) from stop
                wanted = source.rules.delay(failures) if stop.wait is None else stop.wait
                if wanted > source.rules.longest_pause:
                    raise UnreachableError(
                        f"{stop.why}, and asks to be asked again in {wanted:.0f} s",
                        where=public_url(url),
                        next_step="run the same command again later; it resumes",
                    ) from stop
                source.stop.wait(wanted)
            else:
                if transfer.verified():
                    break
    transfer.part.replace(target)
    transfer.note.unlink(missing_ok=True)
    return transfer.digest


class _Transfer:
    """The state of one download across its tries: the ``.part`` file and what it came from."""

    def __init__(self, url: str, wheel: Wanted, part: Path, source: Fetching) -> None:
        self.url, self.wheel, self.part, self._source = url, wheel, part, source
        #: the server's name (ETag) for the version that the part is of
        self.note = part.with_name(part.name + ".json")
        self.have = 0
        #: made of more than one answer, which may be of more than one version of the file
        self._pieced = False
        self._restarted = False
        self._too_long = False
        self._digest = hashlib.sha256()
        if part.is_file() and part.stat().st_size <= wheel.size and self._may_resume():
            self._take_over()
        else:
            self._start_over()

    def _take_over(self) -> None:
        """Hash what an earlier run left, to go on behind it."""
        with self.part.open("rb") as file:
            while block := file.read(BLOCK):
                self._digest.update(block)
                self._count(len(block))

    def _start_over(self) -> None:
        self._source.task.advance(-self.have)
        self.have, self._digest, self._pieced = 0, hashlib.sha256(), False
        self.part.write_bytes(b"")
        self.note.unlink(missing_ok=True)

    @property
    def digest(self) -> str:
        """The sha256 of what is there."""
        return self._digest.hexdigest()

    def _may_resume(self) -> bool:
        """Whether pieces can be told to fit: by the sha256 in the end, else by the ETag."""
        return self.wheel.sha256 is not None or bool(self._etag())

    def _count(self, amount: int) -> None:
        self.have += amount
        self._source.task.advance(amount)

    def go_on(self, session: requests.Session) -> None:
        """Ask for the rest and append it; _Interrupted when it does not come whole."""
        if self.have == self.wheel.size:
            self._pieced = True
            return
        # identity: a range of a compressed answer would be of other bytes
        headers = {"Accept-Encoding": "identity"}
        if self.have and not self._may_resume():
            self._start_over()
        if self.have:
            self._pieced = True
            headers["Range"] = f"bytes={self.have}-"
            if etag := self._etag():
                headers["If-Range"] = etag
        try:
            with typed(self.url), session.get(self.url, headers=headers, stream=True) as answer:
                self._check(answer)
                self._receive(answer)
        except UnreachableError as error:
            raise _Interrupted(error.what) from error
        if self.have < self.wheel.size:
            raise _Interrupted("the answer ended early")

    def _check(self, answer: requests.Response) -> None:
        status = answer.status_code
        if status in _LATER or status >= 500:
            raise _Interrupted(f"the server answers {status}", _retry_after(answer))
        if status == 416:  # the part is longer than the file, or of another version
            self._start_over()
            raise _Interrupted("the server has another version of the file")
        if status not in (200, 206):
            raise AbsentError(
                f"the server answers {status}",
                where=public_url(self.url),
                next_step="run `armtorch update`, which asks the index what it has now",
            )
        begins = f"bytes {self.have}-"
        if self.have and (
            status == 200 or not answer.headers.get("Content-Range", "").startswith(begins)
        ):
            self._source.narrator.warn(
                f"{self.wheel.filename}: the server does not resume this file; it is fetched whole"
            )
            self._start_over()
            if status == 206:
                raise _Interrupted("the server sent another range than was asked for")
        self._remember(answer)

    def _receive(self, answer: requests.Response) -> None:
        with self.part.open("ab") as output:
            for block in answer.iter_content(_PACKET):
                if self._source.stop.is_set():
                    raise _Interrupted("stopped")
                fits = block[: self.wheel.size - self.have]
                output.write(fits)
                self._digest.update(fits)
                self._count(len(fits))
                if len(fits) < len(block):
                    self._too_long = True
                    self._digest.update(block)  # longer than locked: no sha256 fits any more
                    break

    def verified(self) -> bool:
        """Whether the part is the wheel; one of several pieces that is not starts over, once.

        Raises IntegrityError: whole, and still other bytes; the part is removed.
        """
        found = self.digest
        if found == self.wheel.sha256 or (self.wheel.sha256 is None and not self._too_long):
            return True
        if self._pieced and not self._restarted:
            self._source.narrator.warn(
                f"{self.wheel.filename}: the pieces do not fit together; it is fetched whole"
            )
            self._start_over()
            self._restarted = True
            return False
        self.part.unlink()
        self.note.unlink(missing_ok=True)
        raise IntegrityError(
            f"size and sha256 {found} are not those of the lock, "
            f"{self.wheel.size} bytes and {self.wheel.sha256}"
            if self.wheel.sha256
            else f"it is longer than the {self.wheel.size} bytes its server said",
            where=public_url(self.url),
            next_step="upstream or a mirror changed the file; run `armtorch update` and look at "
            "its diff before you trust the new one",
        )

    def _etag(self) -> str:
        try:
            note = load_json(read_bytes(self.note, _NOTE), str(self.note))
        except (OSError, MalformedError):
            return ""
        known = isinstance(note, dict) and note.get("url") == _key(self.url)
        return str(note.get("etag", "")) if known else ""

    def _remember(self, answer: requests.Response) -> None:
        etag = answer.headers.get("ETag", "")
        if etag and not etag.startswith("W/"):  # If-Range takes strong ones only (RFC 9110, 13.1.5)
            write_text(self.note, json.dumps({"url": _key(self.url), "etag": etag}), durable=False)


def _key(url: str) -> str:
    """Name a URL in a note on disk: it may hold a password."""
    return hashlib.sha256(url.encode("utf-8")).hexdigest()


def _retry_after(answer: requests.Response) -> float | None:
    value = answer.headers.get("Retry-After", "")
    return float(value) if re.fullmatch("[0-9]+", value) else None
