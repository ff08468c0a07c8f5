"""Index pages as they last came, to be asked about by their ETag and never believed without.

A page is kept with the sha256 of all that is kept of it: what was damaged or written by something
else is as if it were not there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import requests
from pydantic import Field, TypeAdapter, ValidationError

from generator import atomic
from generator.documents import limits, read_bytes
from generator.model.closed import Closed

_MARK: Final = b"armtorch-page-1\n"
#: characters of a sha256
_DIGEST: Final = 64


@dataclass(frozen=True, kw_only=True)
class Page(Closed):
    """A server's answer."""

    #: where it came from in the end; its links are relative to that
    url: str
    kind: str
    charset: str
    #: what the server calls this version of it
    etag: str
    modified: str
    content: Annotated[bytes, Field(exclude=True)] = b""

    @classmethod
    def of(cls, response: requests.Response, content: bytes) -> Page:
        """Return what an answer was."""
        kind = response.headers.get("Content-Type", "")
        return cls(
            url=response.url,
            kind=kind,
            charset=(response.encoding or "") if "charset" in kind.lower() else "",
            etag=response.headers.get("ETag", ""),
            modified=response.headers.get("Last-Modified", ""),
            content=content,
        )

    def questions(self) -> dict[str, str]:
        """Return the headers that ask whether it is still the same (RFC 9110, 13.1)."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.modified} if self.modified else {}


_HEAD: Final = TypeAdapter(Page)


@dataclass(frozen=True)
class PageStore:
    """A folder of pages by the address that was asked for."""

    folder: Path

    def find(self, url: str) -> Page | None:
        """Return what is kept under an address; None where nothing sound is."""
        try:
            stored = read_bytes(self._path(url), 2 * limits().page.json)
            mark, digest, rest = (
                stored[: len(_MARK)],
                stored[len(_MARK) :][:64],
                stored[len(_MARK) + 64 :],
            )
            if mark != _MARK or digest != _digest(url, rest):
                return None
            head, _, content = rest.partition(b"\n")
            found = _HEAD.validate_json(head)
        except (OSError, ValidationError):
            return None
        return Page(**{**vars(found), "content": content}) if found.questions() else None

    def keep(self, url: str, page: Page) -> None:
        """Keep a page that can be asked about; raises StorageError."""
        if page.questions():
            rest = _HEAD.dump_json(page) + b"\n" + page.content
            atomic.write_bytes(self._path(url), _MARK + _digest(url, rest) + rest, durable=False)

    def _path(self, url: str) -> Path:
        name = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / name[:2] / name


def _digest(url: str, rest: bytes) -> bytes:
    whole = url.encode("utf-8", "surrogatepass") + b"\n" + rest
    return hashlib.sha256(whole).hexdigest().encode()
