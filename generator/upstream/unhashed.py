"""Gives wheels an identity whose index promises no sha256: computed once, then held to it.

download.pytorch.org promises none for nightlies (pytorch/test-infra 6307). The whole file has to be
read for that, once; it is put where ``build`` looks for it. From then on the server's ETag, or the
wheel's size and RECORD, tell whether it is still the same file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from generator.errors import ArmtorchError
from generator.model.cell import Lock, TrainName
from generator.model.wheel import Wheel
from generator.transport import from_status, typed
from generator.upstream.facts import ComputedHash
from generator.upstream.offers import Offer, promised
from generator.upstream.reading import key_of
from generator.upstream.wheel_reader import WheelReader
from generator.urls import local_path

#: large files at once from one server
_DOWNLOADS: Final = 2

#: brings a file of a URL, a name and a size in bytes; returns its sha256 and where it now is
Obtain = Callable[[str, str, int], tuple[str, Path]]
Identified = Mapping[tuple[str, str], Offer | ArmtorchError]


@dataclass(frozen=True, kw_only=True)
class Identifier:
    """Finds the sha256 of offers that come without one."""

    reader: WheelReader
    obtain: Obtain
    #: the lock's wheels by index and file name
    locked: Mapping[tuple[str, str], Wheel]
    train: TrainName

    def all(self, offers: Iterable[Offer]) -> Identified:
        """Identify the offers without a sha256; what fails is returned in the offer's place."""
        todo = {key_of(offer): offer for offer in offers if offer.sha256 is None}
        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            return dict(zip(todo, pool.map(self._try, todo.values()), strict=True))

    def _try(self, offer: Offer) -> Offer | ArmtorchError:
        try:
            promised(offer, self.train)
            return self._identify(offer)
        except ArmtorchError as error:
            return error

    def _identify(self, offer: Offer) -> Offer:
        etag, size = self._head(offer)
        self.reader.refuse_large(offer.filename, size)
        key = hashlib.sha256(offer.url.encode()).hexdigest()
        note = self.reader.cache.computed.get(key)
        if note is not None and etag and (note.etag, note.size) == (etag, size):
            return _known(offer, note.sha256, size)
        known = self.locked.get(key_of(offer))
        if note is None and known is not None and self._is_still(offer, known):
            sha256 = known.sha256
        else:
            sha256, path = self.obtain(offer.url, offer.filename, size)
            # read from here: the server has given all of it already
            offer = replace(offer, url=path.as_uri())
        self.reader.cache.computed.keep(key, ComputedHash(sha256=sha256, size=size, etag=etag))
        return _known(offer, sha256, size)

    def _is_still(self, offer: Offer, known: Wheel) -> bool:
        """Whether the file has the size and the RECORD, and so the members, of the locked one."""
        facts = self.reader.wheel(offer)
        return (facts.size, facts.record) == (known.size, known.record)

    def _head(self, offer: Offer) -> tuple[str, int]:
        """Return the strong ETag of a file, "" for none, and its size in bytes."""
        if (path := local_path(offer.url)) is not None:
            return "", path.stat().st_size
        web = self.reader.web
        with typed(offer.url):
            response = web.wheels.head(
                offer.url,
                headers={"Accept-Encoding": "identity"},
                allow_redirects=True,
            )
        if not response.ok:
            raise from_status(response.status_code, offer.url)
        etag = response.headers.get("ETag", "")
        length = response.headers.get("Content-Length", "")
        size = int(length) if re.fullmatch("[0-9]{1,18}", length) else self.reader.wheel(offer).size
        return "" if etag.startswith("W/") else etag, size


def locked_wheels(lock: Lock) -> dict[tuple[str, str], Wheel]:
    """Return the lock's wheels by index and file name."""
    return {(w.index, w.filename): w for cell in lock.cells for w in cell.wheels}


def _known(offer: Offer, sha256: str, size: int) -> Offer:
    return replace(offer, sha256=sha256, hash_computed=True, size=size)
