"""The one kind of HTTP session: bounded in time, redirects and retries; failures are typed.

Answers are kept apart as decision D7 wants: 404 is absent, silence and 429/5xx are unreachable,
nonsense is malformed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, MaxRetryError, ResponseError
from urllib3.util.retry import Retry

from generator.errors import AbsentError, ArmtorchError, UnreachableError, UnsafeArchiveError
from generator.transport.policy import HttpPolicy
from generator.transport.timed import POOLS, Deadline, deadline
from generator.urls import public_url

#: RFC 6585 section 4 and RFC 9110 section 15.6: come back later
RETRIED: Final = (429, 500, 502, 503, 504)
_GONE: Final = (404, 410)
_DENIED: Final = (401, 403, 407)
_BLOCK: Final = 1 << 16
#: seconds that hosts have cost in this process without giving a usable answer
_lost: dict[str, float] = {}
_guard: Final = Lock()


def forget_hosts() -> None:
    """Forget what hosts have cost: a command of its own begins."""
    with _guard:
        _lost.clear()


class _Retry(Retry):
    """Obeys a Retry-After that is worth it, within the time of the question."""

    def get_retry_after(self, response: Any) -> float | None:
        """Return the pause that the server asks for, None for one that makes no sense."""
        try:
            return super().get_retry_after(response)
        except (ValueError, OverflowError, TypeError):
            return None

    def parse_retry_after(self, retry_after: str) -> float:
        """Return the seconds asked for (RFC 9110, 10.2.3), which `sleep` holds against its most."""
        if re.fullmatch(r"\s*[0-9]+\s*", retry_after):
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())

    def sleep(self, response: Any = None) -> None:
        """Pause before the next try.

        Raises MaxRetryError: the pause is longer than is waited for.
        """
        asked = self.get_retry_after(response) if response is not None else None
        pause = self.get_backoff_time() if asked is None else asked
        until = deadline.get()
        left = until.left(0) if until is not None else pause
        if pause > min(self.retry_after_max, left):
            reason = ResponseError(f"asked to come back in {pause:.0f} s")
            raise MaxRetryError(None, getattr(response, "url", None), reason)  # type: ignore[arg-type]
        time.sleep(pause)


class _Adapter(HTTPAdapter):
    """Opens connections whose answers end in time, and asks no host that has cost too much."""

    def __init__(self, policy: HttpPolicy, *, retries: bool) -> None:
        self._policy = policy
        tries = policy.retries if retries else 0
        super().__init__(
            pool_maxsize=16,
            max_retries=_Retry(
                total=tries,
                # silence is waited for twice at most
                read=min(1, tries),
                backoff_factor=policy.backoff_seconds,
                status_forcelist=RETRIED if retries else (),
                allowed_methods={"GET", "HEAD"},
                respect_retry_after_header=True,
                retry_after_max=int(policy.retry_after_max),
                raise_on_status=False,
            ),
        )

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **options)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        host = _host(request.url or "")
        lost = _lost.get(host, 0.0)
        if lost >= self._policy.host_seconds:
            msg = f"its host has cost {lost:.0f} s without an answer, and is not asked again"
            raise requests.ConnectionError(msg, request=request)
        started = time.monotonic()
        try:
            answer = super().send(request, **options)
        except HTTPError as error:  # what requests lets through of urllib3
            _lose(host, time.monotonic() - started)
            raise requests.ConnectionError(error, request=request) from error
        except requests.RequestException:
            _lose(host, time.monotonic() - started)
            raise
        if answer.status_code in RETRIED:
            _lose(host, time.monotonic() - started)
        return answer


class _Session(requests.Session):
    """A session whose questions have a time in all."""

    def __init__(self, policy: HttpPolicy, *, files: bool, retries: bool) -> None:
        super().__init__()
        self._policy, self._files = policy, files
        self.max_redirects = policy.redirects
        if policy.ca_bundle:
            self.verify = policy.ca_bundle
        if policy.proxy:
            self.proxies = {"http": policy.proxy, "https": policy.proxy}
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(policy, retries=retries))

    def request(self, method: str | bytes, url: str | bytes, **options: Any) -> requests.Response:  # type: ignore[override]
        policy = self._policy
        until = Deadline(
            ends=time.monotonic() + policy.answer_seconds,
            slowest=policy.slowest if self._files else 0,
            idle=policy.timeout_seconds,
        )
        before = deadline.set(until)
        try:
            options.setdefault("timeout", (policy.connect_seconds, policy.timeout_seconds))
            return super().request(method, url, **options)
        finally:
            deadline.reset(before)

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Keep quetz's key from another host, as requests keeps what Authorization says."""
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
        before, url = response.request.url or "", prepared_request.url or ""
        if self.should_strip_auth(before, url):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop("X-API-Key", None)


@contextmanager
def unanswered(url: str, policy: HttpPolicy | None = None) -> Iterator[HttpPolicy]:
    """Count for a host what a library of its own waits for it in vain; give the patience for that.

    Raises UnreachableError: the host has cost too much already.
    """
    policy, host = policy or HttpPolicy(), _host(url)
    if (lost := _lost.get(host, 0.0)) >= policy.host_seconds:
        raise UnreachableError(
            f"its host has cost {lost:.0f} s without an answer, and is not asked again",
            where=public_url(url),
            next_step="try again later",
        )
    started = time.monotonic()
    try:
        yield policy
    except UnreachableError:
        _lose(host, time.monotonic() - started)
        raise


def open_session(
    policy: HttpPolicy | None = None, *, files: bool = False, retries: bool = False
) -> requests.Session:
    """Open a session.

    ``files``: its answers may take as long as their bytes do at the slowest speed. ``retries``: ask
    again after a failure, or an answer that says later.
    """
    return _Session(policy or HttpPolicy(), files=files, retries=retries)


def read_body(response: requests.Response, limit: int, url: str) -> bytes:
    """Read a body of no more than ``limit`` bytes, and close it.

    Raises UnsafeArchiveError: it is longer. requests.RequestException: it breaks off.
    """
    started, content = time.monotonic(), bytearray()
    with response:
        try:
            for block in response.iter_content(_BLOCK):
                content += block
                if len(content) > limit:
                    raise UnsafeArchiveError(
                        f"the answer has more than {limit:,} bytes",
                        where=public_url(url),
                        next_step="check the address: nothing that belongs there is that long",
                    )
        except requests.RequestException:
            _lose(_host(url), time.monotonic() - started)
            raise
    return bytes(content)


@contextmanager
def typed(url: str) -> Iterator[None]:
    """Turn what requests raises into absent or unreachable, naming ``url`` without credentials."""
    try:
        yield
    except requests.HTTPError as error:
        raise from_status(error.response.status_code, url) from error
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidSchema,
    ) as error:
        raise _no_address(url) from error
    except requests.RequestException as error:
        raise UnreachableError(
            f"no usable answer ({_reason(error, url)})",
            where=public_url(url),
            next_step="try again later, or check the network, the proxy and the address "
            "(pip config list shows an index's)",
        ) from error
    except (ValueError, HTTPError) as error:
        # what requests and urllib3 let through of an address, a redirect's too
        raise _no_address(url) from error


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


def _no_address(url: str) -> UnreachableError:
    return UnreachableError(
        "not a URL that can be asked, or it leads to one",
        where=public_url(url),
        next_step="mend the index URL in feedstock.yaml or in pip's configuration, or report "
        "the link to the index",
    )


def _host(url: str) -> str:
    return public_url(url).partition("://")[2].partition("/")[0]


def _lose(host: str, seconds: float) -> None:
    with _guard:
        _lost[host] = _lost.get(host, 0.0) + seconds


def _reason(error: Exception, url: str) -> str:
    """Return the innermost cause in a few words, without what the URL keeps secret."""
    cause: Any = error.args[0] if error.args else error
    cause = getattr(cause, "reason", None) or cause
    inner = cause.args[0] if isinstance(cause, Exception) and cause.args else cause
    said = inner if isinstance(inner, str) else str(cause)
    text = re.sub(r"<[^>]*>|\b\w*(Connection|Pool)\([^)]*\)", "", said).strip(" :")
    query = url.partition("?")[2].partition("#")[0]
    return (text.replace(query, "...") if query else text) or type(error).__name__
