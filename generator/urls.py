"""URLs as they may be shown, and the paths that some of them are."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname


def public_url(url: str) -> str:
    """Return ``url`` as it may be printed: without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def local_path(url: str) -> Path | None:
    """Return the path of a ``file:`` URL, None for any other."""
    parts = urlsplit(url)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None
