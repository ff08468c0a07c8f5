"""The real index as it was on any day, on this machine: PyPI's own pages cut off at a time.

PEP 700 gives every file an upload time. Pages and the parts of wheels that somebody reads come from
the index that pip is configured to use, once: all of it is kept on disk. Bytes of wheels are kept
in blocks, by the sha256 that the index promises.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urljoin

import requests
from packaging.utils import canonicalize_name
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from generator import atomic
from generator.upstream import PipConfiguration

_JSON = "application/vnd.pypi.simple.v1+json"
#: bytes that are asked for and kept at once
_BLOCK = 1 << 17
#: seconds after which a page is asked for again
_FRESH = 20 * 3600
#: requests to the real index at one time
_AT_ONCE = 4
_BUSY = (429, 500, 502, 503, 504)


def moment(text: str) -> dt.datetime:
    """Read an upload time (PEP 700: ISO 8601, UTC)."""
    return dt.datetime.fromisoformat(text)


@dataclass
class RealIndex:
    """Pages and parts of files of the index behind ``pip``, from the disk where they are known."""

    folder: Path
    pip: PipConfiguration
    #: bytes that were really fetched
    fetched: int = 0
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    _pages: dict[str, dict[str, Any]] = field(default_factory=dict)
    _slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_AT_ONCE))

    def __post_init__(self) -> None:
        self._session = requests.Session()
        self._session.verify = self.pip.cert or True
        if self.pip.proxy:
            self._session.proxies = {"http": self.pip.proxy, "https": self.pip.proxy}
        patient = HTTPAdapter(max_retries=Retry(total=5, backoff_factor=1, status_forcelist=_BUSY))
        self._session.mount("https://", patient)
        self._session.mount("http://", patient)

    def page(self, project: str) -> dict[str, Any]:
        """Return a project's page (PEP 691), at most a day old."""
        path = self.folder / "pages" / f"{canonicalize_name(project)}.json"
        with self._locks[path.name]:
            if not path.exists() or time.time() - path.stat().st_mtime > _FRESH:
                url = f"{self.pip.indexes[0].rstrip('/')}/{canonicalize_name(project)}/"
                response = self._get(url, {"Accept": _JSON})
                found = response.json()
                for row in found["files"]:
                    row["url"] = urljoin(response.url, row["url"])
                atomic.write_text(path, json.dumps(found))
            if project not in self._pages:
                self._pages[project] = json.loads(path.read_text(encoding="utf-8"))
            return self._pages[project]

    def part(self, row: Mapping[str, Any], first: int, last: int) -> bytes:
        """Return the bytes ``[first, last]`` of a listed file."""
        sha256: str = row["hashes"]["sha256"]
        size: int = row["size"]
        folder = self.folder / "blocks" / sha256[:2] / sha256
        numbers = range(first // _BLOCK, last // _BLOCK + 1)
        with self._locks[sha256]:
            missing = [n for n in numbers if not (folder / str(n)).exists()]
            for run in _runs(missing):
                start, end = run[0] * _BLOCK, min(size, (run[-1] + 1) * _BLOCK)
                content = self._get(row["url"], {"Range": f"bytes={start}-{end - 1}"}).content
                if len(content) != end - start:
                    msg = f"{row['filename']}: asked for {end - start} bytes, got {len(content)}"
                    raise requests.ConnectionError(msg)
                for number in run:
                    at = (number - run[0]) * _BLOCK
                    atomic.write_bytes(
                        folder / str(number), content[at : at + _BLOCK], durable=False
                    )
            joined = b"".join((folder / str(n)).read_bytes() for n in numbers)
        at = first - numbers[0] * _BLOCK
        return joined[at : at + last + 1 - first]

    def metadata(self, row: Mapping[str, Any]) -> bytes:
        """Return the index's copy of METADATA (PEP 658)."""
        path = self.folder / "metadata" / str(row["hashes"]["sha256"])
        if not path.exists():
            atomic.write_bytes(path, self._get(f"{row['url']}.metadata", {}).content)
        return path.read_bytes()

    def _get(self, url: str, headers: dict[str, str]) -> requests.Response:
        with self._slots:
            response = self._session.get(
                url, headers={"Accept-Encoding": "identity", **headers}, timeout=120
            )
        response.raise_for_status()
        self.fetched += len(response.content)
        return response


def _runs(numbers: list[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for number in numbers:
        if run and number != run[-1] + 1:
            yield run
            run = []
        run.append(number)
    if run:
        yield run


class PastIndex(ThreadingHTTPServer):
    """``with PastIndex(real) as index: index.now = ...; index.url``."""

    daemon_threads = True

    def __init__(self, real: RealIndex) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.real = real
        #: what was uploaded later is not listed
        self.now = dt.datetime.now(dt.UTC)
        self._rows: dict[str, dict[str, Any]] = {}
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/simple/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no news."""

    def rows(self, project: str) -> list[dict[str, Any]]:
        """Return what the project's page listed then; empty for a project that was not there."""
        try:
            page = self.real.page(project)
        except requests.HTTPError:
            return []
        found = [
            row
            for row in page["files"]
            if row.get("upload-time") and moment(row["upload-time"]) <= self.now
        ]
        self._rows |= {row["filename"]: row for row in found}
        return found

    def row(self, filename: str) -> dict[str, Any] | None:
        """Return a file that some page has listed."""
        if filename not in self._rows:
            self.rows(filename.split("-", maxsplit=1)[0])
        return self._rows.get(filename)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: PastIndex

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        path = unquote(self.path)
        try:
            if match := re.fullmatch(r"/simple/([^/]+)/", path):
                self._page(match[1])
            elif match := re.fullmatch(r"/files/([^/]+\.whl)(\.metadata)?", path):
                self._file(match[1], metadata=bool(match[2]))
            else:
                self._send(404, b"no such page")
        except requests.RequestException as error:
            with contextlib.suppress(OSError):
                self._send(503, str(error).encode())

    def _page(self, project: str) -> None:
        files = self.server.rows(project)
        if not files:
            self._send(404, b"no such project")
            return
        listed = [{**row, "url": f"/files/{row['filename']}"} for row in files]
        body = json.dumps({"meta": {"api-version": "1.1"}, "name": project, "files": listed})
        etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == etag:
            self._send(304, b"", {"ETag": etag})
        else:
            self._send(200, body.encode(), {"ETag": etag, "Content-Type": _JSON})

    def _file(self, filename: str, *, metadata: bool) -> None:
        row = self.server.row(filename)
        if row is None:
            self._send(404, b"no such file")
        elif metadata:
            self._send(200, self.server.real.metadata(row))
        elif match := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            size = row["size"]
            first = int(match[1]) if match[1] else max(0, size - int(match[2]))
            last = min(size - 1, int(match[2])) if match[1] and match[2] else size - 1
            body = self.server.real.part(row, first, last)
            self._send(206, body, {"Content-Range": f"bytes {first}-{last}/{size}"})
        else:
            self._send(403, b"nobody needs a whole wheel here")

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)
