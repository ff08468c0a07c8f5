"""A package index on this machine that can be told to misbehave, and counts what it is asked.

Serves ``<folder>/*.whl`` below ``/simple/`` as PEP 503 HTML or PEP 691 JSON.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import html
import json
import re
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from tests.index_formats import Site
from tests.synthetic_wheels.archive import metadata_of

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "text/html; charset=utf-8"
LOGIN_PAGE = b"<html><body><h1>Welcome</h1><a href='/login'>please log in</a></body></html>"


@dataclass(frozen=True)
class Failure:
    """An HTTP error that is given instead of an answer."""

    status: int
    retry_after: str = ""


@dataclass
class Behaviour:
    """Switches; changed while the server runs they hold for the next request."""

    json: bool = True
    etag: bool = True
    #: offer ``.metadata`` files (PEP 658)
    metadata: bool = False
    ranges: bool = True
    #: answer a range request with less than was asked for, and say so
    short_ranges: bool = False
    #: compress the parts of a file, though ``identity`` was asked for (RFC 9110, 12.5.3)
    coded_ranges: bool = False
    #: send so many bytes more than the part of a file that was asked for
    longer_ranges: int = 0
    #: do not say how long a body is; its end is the connection's
    lengths: bool = True
    #: promise a sha256 for each file
    hashes: bool = True
    #: file name -> sha256 to promise instead of the true one
    wrong_hashes: dict[str, str] = field(default_factory=dict)
    #: answer index pages with HTML that is no index
    login_page: bool = False
    #: answer index pages with this content type and body
    page: tuple[str, bytes] | None = None
    #: file name -> reason it was yanked
    yanked: dict[str, str] = field(default_factory=dict)
    #: file name -> Requires-Python on the index
    requires_python: dict[str, str] = field(default_factory=dict)
    #: file name -> when it was uploaded (PEP 700), ISO 8601
    uploaded: dict[str, str] = field(default_factory=dict)
    #: names of files that are listed and not there
    lost: set[str] = field(default_factory=set)
    #: given to the next requests, one each, before anything is answered
    failures: deque[Failure] = field(default_factory=deque)
    #: fail only requests whose path matches
    failing: str = ".*"
    #: bodies of this many next matching answers end in the middle
    truncate: int = 0
    truncating: str = ".*"
    #: called with the path before each answer
    hook: Callable[[str], None] | None = None


class IndexServer(ThreadingHTTPServer):
    """``with IndexServer(folder) as server: server.url``."""

    daemon_threads = True

    def __init__(self, folder: Path, behaviour: Behaviour | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        #: further indexes, each with paths of its own
        self.sites: list[Site] = []
        self.behaviour = behaviour or Behaviour()
        #: requests and body bytes by path
        self.requests: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.heads: Counter[str] = Counter()
        #: (path, status) in order
        self.log: list[tuple[str, int]] = []
        self.lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def root(self) -> str:
        return f"http://{self.host}"

    @property
    def url(self) -> str:
        return f"{self.root}/simple/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port: from now on nobody answers. Harmless when done twice."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()
        for connection in self._connections:  # kept alive by clients
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that stopping means silence."""
        self._connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away in the middle are what some tests are about."""

    def wheels(self, project: str) -> Iterator[Path]:
        for path in sorted(self.folder.glob("*.whl")):
            if canonicalize_name(path.name.split("-")[0]) == canonicalize_name(project):
                yield path

    def forget(self) -> None:
        """Start counting anew."""
        with self.lock:
            self.requests.clear()
            self.heads.clear()
            self.bytes.clear()
            self.log.clear()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes
    server: IndexServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.connection.settimeout(300)
        behaviour, path = self.server.behaviour, unquote(self.path)
        if behaviour.hook is not None:
            behaviour.hook(path)
        with self.server.lock:
            fails = behaviour.failures and re.fullmatch(behaviour.failing, path)
            failure = behaviour.failures.popleft() if fails else None
        if failure is not None:
            headers = {"Retry-After": failure.retry_after} if failure.retry_after else {}
            self._send(failure.status, b"not now", "text/plain", headers)
        elif match := re.fullmatch(r"/simple/([^/]+)/", path):
            self._page(match[1])
        elif match := re.fullmatch(r"/files/(.+\.whl)(\.metadata)?", path):
            self._file(self.server.folder / match[1], metadata=bool(match[2]))
        else:
            self._of_sites(path)

    def _of_sites(self, path: str) -> None:
        """Answer from the first site that has a page or a file of that path."""
        metadata = path.endswith(".whl.metadata")
        for site in self.server.sites:
            if (page := site.page(path)) is not None:
                self._cacheable(page, "text/html")  # S3 says no charset
                return
            if (file := site.file(path.removesuffix(".metadata"))) is not None:
                self._file(file, metadata=metadata)
                return
        self._send(404, b"no such page", "text/plain")

    def _page(self, project: str) -> None:
        behaviour = self.server.behaviour
        files = [self._row(path) for path in self.server.wheels(project)]
        if behaviour.page is not None:
            self._send(200, behaviour.page[1], behaviour.page[0])
        elif behaviour.login_page:
            self._send(200, LOGIN_PAGE, HTML)
        elif not files:
            self._send(404, b"no such project", "text/plain")
        elif behaviour.json:
            body = {
                "meta": {"api-version": "1.1"},
                "name": project,
                "files": files,
                "versions": sorted({row["filename"].split("-")[1] for row in files}),
            }
            self._cacheable(json.dumps(body).encode(), JSON)
        else:
            links = "\n".join(_link(row) for row in files)
            self._cacheable(f"<!DOCTYPE html><html><body>\n{links}\n</body></html>".encode(), HTML)

    def _row(self, path: Path) -> dict[str, Any]:
        behaviour, name = self.server.behaviour, path.name
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        row: dict[str, Any] = {
            "filename": name,
            "url": f"/files/{name}",
            "size": path.stat().st_size,
            "hashes": {"sha256": behaviour.wrong_hashes.get(name, sha256)}
            if behaviour.hashes
            else {},
        }
        if name in behaviour.yanked:
            row["yanked"] = behaviour.yanked[name]
        if name in behaviour.uploaded:
            row["upload-time"] = behaviour.uploaded[name]
        if name in behaviour.requires_python:
            row["requires-python"] = behaviour.requires_python[name]
        if behaviour.metadata:
            row["core-metadata"] = {"sha256": hashlib.sha256(metadata_of(path)).hexdigest()}
        return row

    def _file(self, path: Path, *, metadata: bool) -> None:
        behaviour = self.server.behaviour
        # a site says itself, in its pages, which files have METADATA beside them
        offered = behaviour.metadata or not path.is_relative_to(self.server.folder)
        if not path.is_file() or path.name in behaviour.lost or (metadata and not offered):
            self._send(404, b"no such file", "text/plain")
            return
        content = metadata_of(path) if metadata else path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        named = {"ETag": etag} if behaviour.etag else {}
        wanted = self.headers.get("Range", "")
        if self.headers.get("If-Range", etag) != etag:
            wanted = ""
        if not behaviour.ranges or not wanted:
            self._send(200, content, "application/octet-stream", named)
            return
        first, last = _range(wanted, len(content))
        if self.server.behaviour.short_ranges:
            last = (first + last) // 2
        if first >= len(content):
            self._send(416, b"", "text/plain", {"Content-Range": f"bytes */{len(content)}"})
            return
        body = content[first : last + 1] + bytes(behaviour.longer_ranges)
        if self.server.behaviour.coded_ranges:
            body, named = gzip.compress(body), {"Content-Encoding": "gzip", **named}
        self._send(
            206,
            body,
            "application/octet-stream",
            {"Content-Range": f"bytes {first}-{last}/{len(content)}", **named},
        )

    def _cacheable(self, body: bytes, kind: str) -> None:
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if not self.server.behaviour.etag:
            self._send(200, body, kind)
        elif self.headers.get("If-None-Match") == etag:
            self._send(304, b"", kind, {"ETag": etag})
        else:
            self._send(200, body, kind, {"ETag": etag, "Cache-Control": "max-age=600"})

    def _send(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        path, behaviour = unquote(self.path), self.server.behaviour
        with self.server.lock:
            cut = behaviour.truncate > 0 and bool(re.fullmatch(behaviour.truncating, path))
            behaviour.truncate -= cut
            sent = body[: len(body) // 2] if cut else body
            if self.command == "HEAD":
                sent = b""
            if self.command == "HEAD":
                self.server.heads[path] += 1
            else:
                self.server.requests[path] += 1
                self.server.bytes[path] += len(sent)
                self.server.log.append((path, status))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if not behaviour.lengths:
            self.close_connection = True
            self.send_header("Connection", "close")
        elif status != 304:
            self.send_header("Content-Length", str(len(body)))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(sent)
        if cut:
            self.close_connection = True


def _range(wanted: str, size: int) -> tuple[int, int]:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
    assert match is not None, wanted
    if not match[1]:
        return max(0, size - int(match[2])), size - 1
    return int(match[1]), min(size - 1, int(match[2] or size))


def _link(row: dict[str, Any]) -> str:
    sha256 = row["hashes"].get("sha256")
    fragment = f"#sha256={sha256}" if sha256 else ""
    attributes = ""
    if "yanked" in row:
        attributes += f' data-yanked="{html.escape(row["yanked"])}"'
    if "requires-python" in row:
        attributes += f' data-requires-python="{html.escape(row["requires-python"])}"'
    if "core-metadata" in row:
        attributes += f' data-core-metadata="sha256={row["core-metadata"]["sha256"]}"'
    return f'<a href="{row["url"]}{fragment}"{attributes}>{row["filename"]}</a><br>'
