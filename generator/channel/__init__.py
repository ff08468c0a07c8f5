"""A channel folder: packages first, then its index, each under its final name only when whole."""

from generator.channel.local import LocalChannel
from generator.channel.repodata import Record

__all__ = ["LocalChannel", "Record"]
