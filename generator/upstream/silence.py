"""Indexes that are declared and have no say in a run: they do not answer, or were not asked."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Final

from generator.documents import limits
from generator.errors import ArmtorchError, UnreachableError
from generator.upstream.claims import Claims
from generator.upstream.families import Family
from generator.upstream.indexes import Index, SimpleIndex
from generator.upstream.offers import Offer
from generator.urls import public_url

#: what every index is for, and so what it is asked for first
_FIRST: Final = "torch"


@dataclass(frozen=True)
class Silence:
    """An index whose offers are not known, and what it could have."""

    #: its name in feedstock.yaml
    index: str
    claims: Claims
    #: how it failed; None where it was not asked
    error: ArmtorchError | None

    def is_of(self, name: str) -> bool:
        """Whether a wheel that the lock has from index ``name`` is from it.

        One that stands for several, ``whl-cu*``, is of them all.
        """
        head, star, tail = self.index.partition("*")
        return name == self.index or bool(
            star and name.startswith(head) and name.endswith(tail) and len(name) >= len(head + tail)
        )


@dataclass(frozen=True)
class Unasked:
    """An index that this run leaves alone: ``--indexes`` names others."""

    name: str
    claims: Claims

    def offers(self, project: str) -> tuple[Offer, ...]:  # noqa: ARG002
        """See `Index`: nothing is known of it."""
        return ()


class SilentIndexError(UnreachableError):
    """A file of an index cannot be had now, and a choice depends on it."""

    def __init__(self, index: str, error: UnreachableError) -> None:
        super().__init__(error.what, where=error.where, next_step=error.next_step)
        self.index = index
        self.error = error


@contextmanager
def of_index(offer: Offer) -> Iterator[None]:
    """Say of which index it is that a wheel's server does not answer."""
    try:
        yield
    except SilentIndexError:
        raise
    except UnreachableError as error:
        raise SilentIndexError(offer.index, error) from error


def give_up_together(indexes: Iterable[Index]) -> None:
    """Ask all servers of declared indexes at once, and those no more that say nothing in time.

    So a network that reaches few of them costs one wait, and not one after the other. What pip is
    configured to use is not among them: it is what this machine is meant to reach.
    """
    found = (index.above if isinstance(index, Family) else index for index in indexes)
    todo = [index for index in found if isinstance(index, SimpleIndex)]
    if len(todo) < 2:
        return
    allowed = limits().wait.together
    ends = time.monotonic() + allowed
    threads = [Thread(target=index.knock, args=(_FIRST, allowed), daemon=True) for index in todo]
    for thread in threads:
        thread.start()
    for index, thread in zip(todo, threads, strict=True):
        thread.join(max(0.0, ends - time.monotonic()))
        if thread.is_alive():
            # its name's resolution, which no timeout of a socket bounds
            index.silenced(
                UnreachableError(
                    f"no answer in {allowed:.0f} s",
                    where=public_url(index.url),
                    next_step="try again later, or check the network and the proxy",
                )
            )
