"""Upstream indexes and wheels: what is offered, and what a wheel says of itself from afar."""

from generator.upstream.facts import FactsCache, WheelFacts
from generator.upstream.indexes import Index
from generator.upstream.member_file import MemberFile
from generator.upstream.offers import Offer
from generator.upstream.opening import open_index
from generator.upstream.pip_configuration import PipConfiguration, read_pip_configuration
from generator.upstream.policy import sharing_rules
from generator.upstream.session import Web, open_web
from generator.upstream.silence import Silence, Unasked
from generator.upstream.traffic import Traffic
from generator.upstream.wheel_reader import WheelReader
