"""Tries again what may work a moment later: with growing, scattered pauses."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from generator.errors import UnreachableError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often, and how many seconds before the second try."""

    times: int = 5
    first_pause: float = 1.0

    def run(self, call: Callable[[], T], told: Callable[[str], None]) -> T:
        """Call until it works; only UnreachableError is worth another try.

        Raises UnreachableError: it did not work `times` times.
        """
        for attempt in range(1, self.times):
            try:
                return call()
            except UnreachableError as error:
                # scattered, so that publishers who were refused together do not meet again
                pause = self.first_pause * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
                told(f"{error.where}: {error.what}; try {attempt + 1} in {pause:.0f} s")
                time.sleep(pause)
        return call()
