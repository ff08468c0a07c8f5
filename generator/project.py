"""Where a feedstock's files are, and what a run of armtorch works with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from platformdirs import user_cache_path

from generator.console import Narrator
from generator.documents import limits, read_bytes
from generator.errors import LockError
from generator.feedstock import Feedstock, read_feedstock
from generator.lock import read_lock
from generator.model import Lock

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Project:
    """One feedstock and the person who works on it."""

    #: feedstock.yaml
    feedstock: Path
    narrator: Narrator
    #: what pip would see: its settings say where the index called ``pip`` is
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    #: shared between feedstocks: the wheelhouse, index pages, facts of wheels
    cache: Path = field(default_factory=lambda: user_cache_path("armtorch"))
    #: a run's own folder for its lock and what is rendered from it; None for the feedstock's
    scratch: Path | None = None
    #: file -> its bytes and what was read from them: a run parses what does not change once
    _read: dict[Path, tuple[bytes, Any]] = field(default_factory=dict, repr=False, compare=False)
    #: what was made of a declaration and a lock, with both
    _made: dict[Any, tuple[Feedstock, Lock, Any]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def root(self) -> Path:
        """The folder with feedstock.yaml and what a person writes beside it."""
        return self.feedstock.absolute().parent

    @property
    def tree(self) -> Path:
        """The folder with recipes/ and .ci_support/."""
        return self.scratch or self.root

    @property
    def lock(self) -> Path:
        """The lock beside the feedstock, or the run's own."""
        beside = self.feedstock.with_suffix(".lock.yaml")
        return self.scratch / beside.name if self.scratch else beside

    @property
    def local_data(self) -> Path:
        """The folder with rows that this channel lays over armtorch's own."""
        return self.root / "data"

    @property
    def wheelhouse(self) -> Path:
        """The folder of verified wheels."""
        return self.cache / "wheelhouse"

    def declared(self) -> Feedstock:
        """Read feedstock.yaml; raises FeedstockError."""
        return self._once(self.feedstock, read_feedstock)

    def known(self) -> Lock:
        """Read a lock that is there and knows something; raises LockError."""
        lock = self.locked()
        if not (lock.cells or lock.absent or lock.held):
            raise LockError(
                "there is no lock yet", where=str(self.lock), next_step="run armtorch update"
            )
        return lock

    def locked(self) -> Lock:
        """Read the lock, an empty one where there is none yet; raises LockError."""
        return self._once(self.lock, read_lock)

    def made(self, make: Callable[[Feedstock, Lock], T]) -> T:
        """Make something of feedstock.yaml and the lock, once while both are as they were.

        Raises as `declared`, `known` and ``make`` do.
        """
        feedstock, lock = self.declared(), self.known()
        before = self._made.get((make, self.lock))
        if before is None or before[0] is not feedstock or before[1] is not lock:
            before = self._made[make, self.lock] = feedstock, lock, make(feedstock, lock)
        found: T = before[2]
        return found

    def _once(self, path: Path, read: Callable[[Path], T]) -> T:
        """Read a file, or give what was read from it while it had the same bytes."""
        try:
            content = read_bytes(path, limits().yaml.bytes)
        except OSError:
            return read(path)
        if path not in self._read or self._read[path][0] != content:
            self._read[path] = content, read(path)
        found: T = self._read[path][1]
        return found


def base_channels(feedstock: Feedstock, subdir: str) -> tuple[str, ...]:
    """Return the base channels that feedstock.yaml names for a subdir."""
    return next((wanted.base for name, wanted in feedstock.subdirs.items() if name == subdir), ())
