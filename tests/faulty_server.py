"""A local file server that misbehaves on request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class FaultyServer:
    """Serves `files`; each fault below counts down by one per request it spoils."""

    files: dict[str, bytes]
    url: str = ""
    ranges: bool = True
    etag: str = '"v1"'
    #: answer this status, with these headers, so many times
    refuse: tuple[int, int] = (0, 0)
    headers: dict[str, str] = field(default_factory=dict)
    #: send so many bytes of the body and hang up, so many times
    cut: tuple[int, int] = (0, 0)
    #: what was asked: (path, Range, If-Range)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    #: bytes of bodies that were sent
    sent: int = 0


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        faults = self.server.faults
        asked_range = self.headers.get("Range", "")
        faults.asked.append((self.path, asked_range, self.headers.get("If-Range", "")))
        status, times = faults.refuse
        if times:
            faults.refuse = (status, times - 1)
            self._answer(status, b"", faults.headers)
            return
        content = faults.files.get(self.path.removeprefix("/"))
        if content is None:
            self._answer(404, b"", {})
            return
        start = 0
        current = self.headers.get("If-Range", faults.etag) == faults.etag
        if asked_range and faults.ranges and current:
            start = int(asked_range.removeprefix("bytes=").removesuffix("-"))
        headers = {"ETag": faults.etag} if faults.etag else {}
        if start >= len(content) > 0:
            self._answer(416, b"", headers)
        elif start:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._answer(206, content[start:], headers | {"Content-Range": span})
        else:
            self._answer(200, content, headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        faults = self.server.faults
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        bytes_before, times = faults.cut
        if times and body:
            faults.cut = (bytes_before, times - 1)
            body = body[:bytes_before]
            self.close_connection = True
        self.wfile.write(body)
        faults.sent += len(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, faults: FaultyServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults = faults


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[FaultyServer]:
    """Serve `files` on a port of this machine for as long as the block runs."""
    faults = FaultyServer(files)
    with _Server(faults) as server:
        faults.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield faults
        finally:
            server.shutdown()
            thread.join()
