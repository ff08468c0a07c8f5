"""Upstream indexes and wheels: what is offered, what it says of itself, which trio is chosen."""

from generator.upstream.facts import FactsCache
from generator.upstream.indexes import Index, open_index
from generator.upstream.offers import Offer
from generator.upstream.pip_configuration import PipConfiguration, read_pip_configuration
from generator.upstream.session import Web, open_web
from generator.upstream.traffic import Traffic
from generator.upstream.updating import Outcome, update
from generator.upstream.wheel_reader import WheelReader
from generator.urls import public_url

__all__ = [
    "FactsCache",
    "Index",
    "Offer",
    "Outcome",
    "PipConfiguration",
    "Traffic",
    "Web",
    "WheelReader",
    "open_index",
    "open_web",
    "public_url",
    "read_pip_configuration",
    "update",
]
