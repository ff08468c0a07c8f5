"""Numbers that fetching and sealing go by, from ``generator/data/building.yaml``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from generator.datafiles import load_data
from generator.model import Wheel
from generator.model.closed import Closed


@dataclass(frozen=True, kw_only=True)
class FetchPolicy(Closed):
    """How patient the wheelhouse is with an index."""

    #: tries without progress before an index counts as unreachable
    attempts: int
    #: seconds before the second try, doubled for each further one
    first_delay: float
    #: seconds
    longest_delay: float
    #: the most that a Retry-After header is obeyed, in seconds
    longest_pause: float
    #: bytes that a try must bring to count as progress
    progress: int

    def delay(self, attempt: int) -> float:
        """Seconds to wait after the ``attempt``-th try (from 1) without progress."""
        return float(min(self.first_delay * 2 ** (attempt - 1), self.longest_delay))


@dataclass(frozen=True, kw_only=True)
class ThreadRow(Closed):
    """How many compression threads keep the memory below 300 MiB up to a zstd level."""

    up_to_level: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class SealPolicy(Closed):
    """What the bytes of a sealed package depend on beside its content and level."""

    #: one more whenever the seal writes other bytes of the same draft
    format: int
    window_log: int
    #: MiB of input per compression job
    job_mib: int
    threads: tuple[ThreadRow, ...]
    #: zstd level of the archive that rattler-build writes and the seal reads
    draft_level: int
    #: milliseconds since 1970
    timestamp_without_wheel: int

    def timestamp(self, wheels: Iterable[Wheel]) -> int:
        """Return the milliseconds that a package made from ``wheels`` is stamped with."""
        return max((self.timestamp_without_wheel, *(wheel.timestamp for wheel in wheels)))

    def threads_for(self, level: int, cores: int) -> int:
        """Compression threads for ``level`` on a machine of ``cores``; never 0.

        zstd's output is the same for every number of threads but 0, which is another algorithm
        (zstd.h, ``ZSTD_c_nbWorkers``).
        """
        limit = next((row.threads for row in self.threads if level <= row.up_to_level), 1)
        return max(1, min(cores, limit))


@dataclass(frozen=True, kw_only=True)
class BuildPolicy(Closed):
    """The whole of ``building.yaml``."""

    fetch: FetchPolicy
    seal: SealPolicy


@cache
def policy() -> BuildPolicy:
    """Read ``generator/data/building.yaml``; DataError when it does not fit."""
    return load_data("building.yaml", BuildPolicy)
