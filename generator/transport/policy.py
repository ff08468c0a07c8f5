"""How patient to be with a server; the defaults are those of ``generator/data/limits.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field

from generator.documents import limits


@dataclass(frozen=True, kw_only=True)
class HttpPolicy:
    """Patience, and what a machine needs to get out. Times are in seconds."""

    #: tries after the first one
    retries: int = field(default_factory=lambda: limits().wait.retries)
    #: before the second try, doubled each time
    backoff_seconds: float = field(default_factory=lambda: limits().wait.backoff)
    #: a longer Retry-After than this is not waited for
    retry_after_max: float = field(default_factory=lambda: limits().wait.longest_pause)
    #: until a connection stands
    connect_seconds: float = field(default_factory=lambda: limits().wait.connect)
    #: without a byte
    timeout_seconds: float = field(default_factory=lambda: limits().wait.idle)
    #: for a question with its redirects and retries and, unless it is a file's, its whole answer
    answer_seconds: float = field(default_factory=lambda: limits().wait.answer)
    #: bytes a second that a file must come at beyond that time
    slowest: int = field(default_factory=lambda: limits().wait.slowest)
    redirects: int = field(default_factory=lambda: limits().wait.redirects)
    #: that questions without an answer may cost per host, before no more are asked
    host_seconds: float = field(default_factory=lambda: limits().wait.host)
    #: CA bundle of pip's ``cert`` setting; None for requests' own choice
    ca_bundle: str | None = None
    #: ``proxy`` setting of pip
    proxy: str | None = None
