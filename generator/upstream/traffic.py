"""How many requests and bytes reading upstream cost: the budget of `update` is kept in view."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Traffic:
    """Counts what was read over the network; safe to share between threads.

    Bytes are those of response bodies; what the HTTP cache or a 304 answered costs none.
    """

    requests: int = 0
    #: bytes read per wheel file name
    wheels: Counter[str] = field(default_factory=Counter)
    #: bytes of index pages and PEP 658 metadata files
    index_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count_index(self, amount: int) -> None:
        """Add one request to an index that sent ``amount`` bytes."""
        with self._lock:
            self.requests += 1
            self.index_bytes += amount

    def count_wheel(self, filename: str, amount: int) -> None:
        """Add one request to a wheel that sent ``amount`` bytes."""
        with self._lock:
            self.requests += 1
            self.wheels[filename] += amount

    @property
    def bytes(self) -> int:
        """All bytes that were read."""
        return self.index_bytes + self.wheels.total()
