"""Servers that do not answer properly: each keeps, floods or misleads whoever waits for it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: seconds between the bytes of a drip; shorter than any idle limit of the tests
DRIP = 0.1
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.pypi.simple.v1+json\r\n"
_BODY = b'{"meta":{"api-version":"1.1"},"name":"torch","files":[]}'

#: sends to a connection whose request was read, until it returns or the client goes
Trap = Callable[[socket.socket, str], None]


def _drip(connection: socket.socket, content: bytes) -> None:
    for byte in content:
        connection.sendall(bytes([byte]))
        time.sleep(DRIP)


def _silence(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.settimeout(300)
        connection.recv(1)  # until the client has gone


def _answer(content: bytes) -> Trap:
    def trap(connection: socket.socket, _: str) -> None:
        connection.sendall(content)

    return trap


def _hold(content: bytes) -> Trap:
    def trap(connection: socket.socket, _: str) -> None:
        connection.sendall(content)
        _silence(connection)

    return trap


def _dripping(head: bytes, content: bytes) -> Trap:
    def trap(connection: socket.socket, _: str) -> None:
        connection.sendall(head)
        _drip(connection, content)

    return trap


def _flood(head: bytes, block: bytes) -> Trap:
    def trap(connection: socket.socket, _: str) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(block)

    return trap


def _redirect(place: bytes) -> Trap:
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + place + b"\r\n\r\n"
    return _answer(head)


def _later(value: bytes, status: bytes = b"503 Later") -> Trap:
    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nRetry-After: " + value + b"\r\n\r\n"
    return _answer(head)


TRAPS: dict[str, Trap] = {
    "silence": lambda connection, _: _silence(connection),
    "a drip of headers": _dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 100_000),
    "a drip of the status": _dripping(b"", b"HTTP/1.1 200 " + b"O" * 100_000),
    "silence after the headers": _hold(_OK + b"Content-Length: 500\r\n\r\n"),
    "silence within the headers": _hold(_OK),
    "a drip of the body": _dripping(_OK + b"Content-Length: 99999\r\n\r\n", b" " * 99_999),
    "a drip of a chunk's size": _dripping(
        _OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 60_000
    ),
    "a drip of chunks": _dripping(
        _OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 20_000
    ),
    "too long a Content-Length": _hold(_OK + b"Content-Length: 9999\r\n\r\n" + _BODY),
    "a Content-Length that is none": _hold(_OK + b"Content-Length: -7e5\r\n\r\n" + _BODY),
    "two Content-Lengths": _hold(
        _OK + b"Content-Length: 9\r\nContent-Length: 5000\r\n\r\n" + _BODY
    ),
    "a Retry-After of years": _later(b"99999999"),
    "a Retry-After of 10 digits by 100": _later(b"9" * 1000),
    "a Retry-After of the year 9999": _later(b"Fri, 31 Dec 9999 23:59:59 GMT", b"429 Slow"),
    "a Retry-After of nonsense": _later(b"soon, or when I like"),
    "a Retry-After that is no date": _later(b"Fri, 99 Foo 2026 99:99:99 GMT"),
    "a Retry-After below zero": _later(b"-5"),
    "a redirect to itself": _redirect(b"/simple/torch/"),
    "a redirect to half an address": _redirect(b"http://[::1"),
    "a redirect to a name of dots": _redirect(b"http://a..b/x"),
    "a redirect to no host": _redirect(b"http:///x"),
    "a redirect to another protocol": _redirect(b"gopher://x/"),
    "a redirect to a file": _redirect(b"file:///etc/passwd"),
    "a redirect to a port that is none": _redirect(b"http://127.0.0.1:999999/"),
    "a redirect to bytes": _redirect(b"http://\xff\xfe\x00/"),
    "a redirect to a long name": _redirect(b"http://" + b"a" * 300 + b".example/"),
    "endless headers": _flood(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 1000 + b"\r\n"),
    "an endless body": _flood(_OK + b"\r\n", b" " * (1 << 20)),
    "an endless line": _flood(b"", b"a" * (1 << 16)),
    "no HTTP": _answer(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "headers that are none": _answer(b"HTTP/1.1 200 OK\r\n\xff\xfe: \x00\r\n:\r\n\r\n"),
    "a status that is none": _answer(b"HTTP/1.1 99999999 OK\r\n\r\n"),
    "a coding that is a lie": _answer(
        _OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde"
    ),
    "nothing": _answer(b""),
}


@contextmanager
def tarpit(trap: Trap) -> Iterator[str]:
    """Listen on this machine; give the address of a server that is such a trap."""
    listener = socket.create_server(("127.0.0.1", 0))
    open_ones: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(30)
            request = b""
            while b"\r\n\r\n" not in request and (block := connection.recv(65536)):
                request += block
            trap(connection, request.split(b" ")[1].decode("latin-1") if b" " in request else "")

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            open_ones.append(connection)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in open_ones:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
