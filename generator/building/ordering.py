"""Which finished package may go onto the channel: one whose own needs are there (decision D13)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from generator.model import Variant


@dataclass
class Order:
    """What of one build is still to come, and what did not.

    A run that is killed then leaves a channel in which every package can be installed, and one
    whose libtorch failed has no pytorch that asks for it.
    """

    #: ids of what is being built
    coming: set[str]
    failed: set[str] = field(default_factory=set)

    def verdict(self, variant: Variant) -> Literal["place", "wait", "refuse"]:
        """Say whether a finished variant's package goes onto the channel now.

        A package for any Python is of use as soon as one of those that it is for is there.
        """
        found: Literal["place", "wait", "refuse"] = "place"
        for ids in _by_package(variant.depends):
            there = ids - self.coming - self.failed
            if there:
                continue
            if not ids & self.coming:
                return "refuse"
            found = "wait"
        return found

    def settle(self, variant: Variant, *, failed: bool) -> None:
        """Take note of what became of a variant."""
        self.coming.discard(variant.id)
        if failed:
            self.failed.add(variant.id)

    def lacking(self, variant: Variant) -> list[str]:
        """Return what a variant needs and what failed."""
        return sorted(self.failed.intersection(variant.depends))


def _by_package(ids: Iterable[str]) -> list[set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for each in ids:
        found[each.split("/")[1]].add(each)
    return list(found.values())
