"""What the page reads: the records of a channel and of the sub-channels of its trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from generator.channel import LocalChannel, Record
from generator.channel.patching import PACKAGE, REVOKED
from generator.channel.retention import series_of
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


def listed(feedstock: Feedstock, source: LocalChannel) -> tuple[Listed, ...]:
    """Read a channel folder and the sub-channels of every train.

    In a sub-channel the train is the label's, whatever the version says: upstream's candidates
    have the final version in their names. In the channel itself it is what the version says.

    Raises:
        IntegrityError: a repodata is not usable.

    """
    labels = {feedstock.label(train): train for train in get_args(TrainName)}
    found = [
        Listed(record=record, train=series_of(record)[-1], label="") for record in _records(source)
    ]
    for label, train in labels.items():
        if label:
            found += [
                Listed(record=record, train=train, label=label)
                for record in _records(source.labelled(label))
            ]
    return tuple(found)


def _records(channel: LocalChannel) -> Iterator[Record]:
    for folder in sorted(path.name for path in channel.root.glob("*/") if path.is_dir()):
        yield from (each for each in channel.records(folder) if each.name != PACKAGE)
