"""Connections whose answers end in time, however slowly a server sends them.

The timeouts of a socket are for one read: a byte every few seconds keeps such a reader for ever, in
the headers, in the size of a chunk or in the body. Here every read of a connection is held to what
is left of the time of its question.
"""

from __future__ import annotations

import io
import socket
import time
from contextvars import ContextVar
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any, Final

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """When a question's time is over."""

    #: by the monotonic clock
    ends: float
    #: bytes a second by which it moves, for the answers that are files; 0 for the others
    slowest: int
    #: seconds without a byte
    idle: float

    def left(self, received: int) -> float:
        """Return the seconds that are left after ``received`` bytes."""
        moved = received / self.slowest if self.slowest else 0.0
        return self.ends + moved - time.monotonic()


#: of the question that is being asked in this context
deadline: Final[ContextVar[Deadline | None]] = ContextVar("deadline", default=None)


class _Timed(io.RawIOBase):
    """A socket's bytes, until the time is over."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, until: Deadline) -> None:
        super().__init__()
        self._raw, self._sock, self._until = raw, sock, until
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until.left(self._received)
        if left <= 0:
            raise TimeoutError("the answer did not come whole within its time")
        self._sock.settimeout(min(left, self._until.idle))
        amount = self._raw.readinto(buffer)
        self._received += amount or 0
        return amount

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    """An answer that is read through _Timed."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        if (until := deadline.get()) is not None:
            raw = self.fp.detach()
            self.fp = io.BufferedReader(_Timed(raw, sock, until))


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


#: for a PoolManager's ``pool_classes_by_scheme``
POOLS: Final = {"http": _Pool, "https": _SecurePool}
