"""What the page reads: the records of a channel and of the sub-channels of its trains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from generator.channel import LocalChannel, Record
from generator.channel.patching import PACKAGE, REVOKED
from generator.channel.repodata import Repodata, parts_of
from generator.channel.retention import train_of
from generator.feedstock import Feedstock
from generator.model.cell import TrainName


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A record, and where a client finds it."""

    record: Record
    train: TrainName
    #: of the sub-channel; "" for the channel itself
    label: str

    @property
    def revoked(self) -> bool:
        """Whether it was yanked, so that no solver takes it."""
        return REVOKED in self.record.depends


def by_name(feedstock: Feedstock, source: LocalChannel) -> Iterator[list[Listed]]:
    """Yield the records of each package in a channel folder and the sub-channels of every train.

    In a sub-channel the train is the label's, whatever the version says: upstream's candidates
    have the final version in their names. In the channel itself it is what the version says.
    A package at a time is read, since a channel can have hundreds of thousands of records.
    Raises IntegrityError: a repodata is not usable.
    """
    places: list[tuple[str, TrainName | None, Repodata]] = [
        ("", None, each) for each in source.repodata()
    ]
    for train in get_args(TrainName):
        if label := feedstock.label(train):
            places += [(label, train, each) for each in source.labelled(label).repodata()]
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, (_, _, repodata) in enumerate(places):
        for file_name in repodata.rows:
            found[parts_of(file_name)[0]].append((number, file_name))
    for name in sorted(found.keys() - {PACKAGE}):
        yield [_listed(*places[number], file_name) for number, file_name in sorted(found[name])]


def _listed(label: str, train: TrainName | None, repodata: Repodata, file_name: str) -> Listed:
    record = repodata.record(file_name)
    return Listed(record=record, train=train or train_of(record.version), label=label)
