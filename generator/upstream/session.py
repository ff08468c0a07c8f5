"""HTTP with manners: cached by ETag, retried with backoff, and every failure typed.

Answers are kept apart as design D7 wants: 404 is absent, silence and 429/5xx are unreachable,
nonsense is malformed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import requests
from cachecontrol import CacheControlAdapter
from cachecontrol.caches import FileCache
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from generator.errors import AbsentError, ArmtorchError, StorageError, UnreachableError
from generator.upstream.traffic import Traffic
from generator.urls import public_url

#: RFC 6585 section 4 and RFC 9110 section 15.6: come back later
RETRIED: Final = (429, 500, 502, 503, 504)
_GONE: Final = (404, 410)
_DENIED: Final = (401, 403, 407)


@dataclass(frozen=True, kw_only=True)
class HttpPolicy:
    """How patient to be with a server."""

    #: tries after the first one
    retries: int = 4
    #: seconds before the second retry, doubled each time
    backoff_seconds: float = 0.5
    #: a longer Retry-After than this many seconds is not waited for
    retry_after_max: int = 60
    #: seconds without a byte
    timeout_seconds: float = 60.0
    #: CA bundle of pip's ``cert`` setting; None for requests' own choice
    ca_bundle: str | None = None
    #: ``proxy`` setting of pip
    proxy: str | None = None


@dataclass
class Web:
    """The two sessions of an update: pages through a cache, parts of wheels past it."""

    policy: HttpPolicy
    pages: requests.Session
    wheels: requests.Session
    traffic: Traffic = field(default_factory=Traffic)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pages.close()
        self.wheels.close()

    def page(self, url: str) -> requests.Response:
        """Get a small file through the cache.

        Raises:
            AbsentError: the server says that it is not there.
            UnreachableError: it does not answer, or not usefully.

        """
        with typed(url):
            response = self.pages.get(url, timeout=self.policy.timeout_seconds)
            response.raise_for_status()
            return response


def open_web(cache: Path, policy: HttpPolicy | None = None) -> Web:
    """Open the sessions; ``cache`` is the folder of the HTTP cache, made when missing.

    Raises:
        StorageError: it cannot be made.

    """
    policy = policy or HttpPolicy()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the cache cannot be made: {error.strerror}",
            where=str(cache),
            next_step="give yourself the right to write there",
        ) from error
    retry = Retry(
        total=policy.retries,
        backoff_factor=policy.backoff_seconds,
        status_forcelist=RETRIED,
        allowed_methods={"GET", "HEAD"},
        respect_retry_after_header=True,
        retry_after_max=policy.retry_after_max,
        raise_on_status=False,
    )
    pages, wheels = plain_session(policy), plain_session(policy)
    web = Web(policy, pages, wheels)
    cached = CacheControlAdapter(cache=FileCache(str(cache)), max_retries=retry)
    plain = HTTPAdapter(max_retries=retry, pool_maxsize=16)
    for session, adapter in ((pages, cached), (wheels, plain)):
        session.mount("https://", adapter)
        session.mount("http://", adapter)

    def count(response: requests.Response, *_: Any, **__: Any) -> None:
        web.traffic.count_index(
            0 if getattr(response, "from_cache", False) else len(response.content)
        )

    pages.hooks["response"].append(count)
    return web


def plain_session(policy: HttpPolicy) -> requests.Session:
    """Open a session without cache or retries, with pip's certificates and proxy."""
    session = requests.Session()
    if policy.ca_bundle:
        session.verify = policy.ca_bundle
    if policy.proxy:
        session.proxies = {"http": policy.proxy, "https": policy.proxy}
    return session


@contextmanager
def typed(url: str) -> Iterator[None]:
    """Turn what requests raises into absent or unreachable, naming ``url`` without credentials."""
    try:
        yield
    except requests.HTTPError as error:
        raise from_status(error.response.status_code, url) from error
    except (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.RetryError,
        requests.exceptions.ChunkedEncodingError,
        requests.TooManyRedirects,
        requests.exceptions.ContentDecodingError,
        requests.exceptions.InvalidHeader,  # a Retry-After that is neither seconds nor a date
    ) as error:
        raise UnreachableError(
            f"no usable answer ({_reason(error, url)})",
            where=public_url(url),
            next_step="try again later, or check the network, the proxy and pip's index settings",
        ) from error
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidSchema,
        ValueError,  # what requests and urllib3 let through of an address, a redirect's too
    ) as error:
        raise UnreachableError(
            "not a URL that can be asked, or it leads to one",
            where=public_url(url),
            next_step="mend the index URL in feedstock.yaml or in pip's configuration, or report "
            "the link to the index",
        ) from error


def from_status(status: int, url: str) -> ArmtorchError:
    """Say what an HTTP error status means (RFC 9110 section 15)."""
    where = public_url(url)
    if status in _GONE:
        return AbsentError(
            f"the server says it is not there (HTTP {status})",
            where=where,
            next_step="check the name and the index that feedstock.yaml gives",
        )
    if status in _DENIED:
        return UnreachableError(
            f"the server wants to know who asks (HTTP {status})",
            where=where,
            next_step="put the credentials where pip finds them (netrc or the index URL)",
        )
    return UnreachableError(
        f"the server could not answer (HTTP {status}, after retries)",
        where=where,
        next_step="try again later; the lock keeps what it knew",
    )


def _reason(error: Exception, url: str) -> str:
    """Return the innermost cause in a few words, without what the URL keeps secret."""
    cause: Any = error.args[0] if error.args else error
    cause = getattr(cause, "reason", None) or cause
    text = re.sub(
        r"<[^>]*>|\bHTTPS?ConnectionPool\([^)]*\)|\bHTTPS?Connection\([^)]*\)", "", str(cause)
    ).strip(" :")
    query = urlsplit(url).query
    return (text.replace(query, "...") if query else text) or type(error).__name__
