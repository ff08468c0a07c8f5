"""Where a package's recipe is kept: two of the keys that CEP 31 gives about.json's ``extra``.

``flow_run_id``, the third, is left out: it would make each run's bytes others, and an attestation
says which run it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_URL: Final = re.compile(r"https?://[^\s@?#]+")
_SHA: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The repository, and the commit that brought what the package is made from."""

    remote_url: str
    sha: str

    def __post_init__(self) -> None:
        """Refuse what is none, a login in the address above all."""
        if not _URL.fullmatch(self.remote_url) or not _SHA.fullmatch(self.sha):
            raise ValueError(f"no provenance: {self.remote_url!r}, {self.sha!r}")

    def fields(self) -> dict[str, str]:
        """Return what about.json's ``extra`` has of it."""
        return {"remote_url": self.remote_url, "sha": self.sha}


def provenance_of(extra: Mapping[str, Any]) -> Provenance | None:
    """Read it back from about.json's ``extra``; None where there is none, or no true one."""
    url, sha = extra.get("remote_url"), extra.get("sha")
    if not isinstance(url, str) or not isinstance(sha, str):
        return None
    try:
        return Provenance(remote_url=url, sha=sha)
    except ValueError:
        return None
