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

from generator.model.closed import Closed
from generator.upstream.packed import Packed


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


class PageStore:
    """A folder of pages by the address that was asked for."""

    def __init__(self, folder: Path) -> None:
        self._kept = Packed(folder, "pages")

    def find(self, url: str) -> Page | None:
        """Return what is kept under an address; None where nothing sound is."""
        head, _, content = (self._kept.get(_key(url)) or b"").partition(b"\n")
        try:
            found = _HEAD.validate_json(head)
        except ValidationError:
            return None
        return Page(**{**vars(found), "content": content}) if found.questions() else None

    def keep(self, url: str, page: Page) -> None:
        """Keep a page that can be asked about; raises StorageError."""
        if page.questions():
            self._kept.keep(_key(url), _HEAD.dump_json(page) + b"\n" + page.content)


def _key(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
