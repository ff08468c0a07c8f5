"""Upstream indexes and wheels: what is offered, what it says of itself, which trio is chosen."""

from generator.upstream.cells import bundled_by, wheel_row
from generator.upstream.facts import FactsCache, WheelFacts
from generator.upstream.holding import with_old_days
from generator.upstream.indexes import Index
from generator.upstream.judging import AGAINST, Judge, Prospect, finding_of
from generator.upstream.member_file import MemberFile
from generator.upstream.offers import Offer
from generator.upstream.opening import index_called, open_index
from generator.upstream.pip_configuration import PipConfiguration, read_pip_configuration
from generator.upstream.policy import sharing_rules
from generator.upstream.session import Web, open_web
from generator.upstream.silence import Silence, Unasked
from generator.upstream.surveying import IndexView, survey
from generator.upstream.traffic import Traffic
from generator.upstream.updating import Outcome, update
from generator.upstream.wheel_reader import WheelReader
from generator.upstream.wishes import of_train
from generator.urls import public_url
