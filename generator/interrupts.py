"""Ctrl-C while modules are loaded: native code may swallow the exception or print it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

INTERRUPTED: Final = 130
STOPPED: Final = "stopped; run the same command again to go on"


@contextmanager
def ending_at_once() -> Iterator[None]:
    """End the process at once on Ctrl-C: nothing was begun yet that would have to be ended."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield  # who set something else meant it
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_: int, __: FrameType | None) -> None:
    # what prints may not be loaded yet
    os.write(2, f"error: {STOPPED}\n".encode())
    os._exit(INTERRUPTED)
