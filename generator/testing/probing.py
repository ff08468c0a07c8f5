"""Finds which requirement no channel can satisfy, by solving again and again.

The solver's own explanation is one text in changing words; which requests have a solution is a
fact that can be asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rattler import Gateway

from generator.errors import SolveError
from generator.testing.environment import Machine, solve
from generator.transport.gateway import open_gateway


@dataclass(frozen=True, kw_only=True)
class ChannelSolver:
    """Asks one set of channels, for one machine; remembers what was asked."""

    channels: tuple[str, ...]
    machine: Machine
    #: keeps the channels' repodata
    gateway: Gateway = field(default_factory=open_gateway, repr=False)
    _asked: dict[frozenset[str], bool] = field(default_factory=dict, repr=False)

    def solvable(self, specs: Sequence[str]) -> bool:
        """Whether ``specs`` have a solution together.

        Raises SelectionError: a spec is not a MatchSpec. UnreachableError: a channel did not
        answer.
        """
        key = frozenset(specs)
        if key not in self._asked:
            try:
                solve(specs, channels=self.channels, machine=self.machine, gateway=self.gateway)
                self._asked[key] = True
            except SolveError:
                self._asked[key] = False
        return self._asked[key]

    def blocking(self, specs: Sequence[str]) -> tuple[str, ...]:
        """Return what of ``specs`` has no solution: each that has none alone, else a smallest set.

        The set is smallest in that each of it is needed for the contradiction: without any one of
        them the rest can be solved. Nothing is returned where all have a solution together.
        Raises SelectionError: a spec is not a MatchSpec. UnreachableError: a channel did not
        answer.
        """
        if self.solvable(specs):
            return ()
        if alone := tuple(spec for spec in specs if not self.solvable([spec])):
            return lacking(alone)
        left = list(specs)
        for spec in specs:
            without = [other for other in left if other != spec]
            if not self.solvable(without):
                left = without
        return tuple(left)


def lacking(blocking: tuple[str, ...]) -> tuple[str, ...]:
    """Return what the machine lacks (``__glibc >=2.28``), where it does, else all that blocks.

    Other requirements then have no solution for that same reason.
    """
    return tuple(spec for spec in blocking if spec.startswith("__")) or blocking
