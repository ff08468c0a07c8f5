"""URLs as they may be shown, and the paths that some of them are."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

#: what opens a private channel: ``user:password@``, and the token of ``/t/TOKEN/`` (conda,
#: docs.conda.io "Adding a token", and its own way to hide both: conda/common/url.py)
_SECRETS = (
    (re.compile(r"(?<=://)[^/\s'\"]+@"), "***@"),
    (re.compile(r"(://[^\s'\"]*?/t/)[^/\s'\"]+"), r"\1***"),
)


def masked(text: str) -> str:
    """Return ``text`` with the passwords and tokens of its URLs as ``***``.

    For everything that is printed: people paste it where others read it.
    """
    for pattern, hidden in _SECRETS:
        text = pattern.sub(hidden, text)
    return text


def public_url(url: str) -> str:
    """Return ``url`` as it may be printed: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that are no IPv6 address
        return masked(re.split(r"[?#]", url, maxsplit=1)[0])
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def local_path(url: str) -> Path | None:
    """Return the path of a ``file:`` URL, None for any other."""
    if url[:5].lower() != "file:":
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def channel_url(channel: str) -> str:
    """Return the address of a channel that is a folder; a name or an address as it is."""
    path = Path(channel)
    return path.resolve().as_uri() if path.is_dir() else channel
