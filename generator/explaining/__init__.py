"""Why a conda command fails on ARM, which one works, and what channels have of each cell."""

from generator.explaining.boards import Checkup, boards, serves
from generator.explaining.channels import ALIAS, TIMEOUT, Access, Channels
from generator.explaining.computer import System, look
from generator.explaining.context import Context
from generator.explaining.coverage import ChannelOffer, Coverage, coverage
from generator.explaining.explain import explain
from generator.explaining.facts import common_virtual_packages
from generator.explaining.findings import Finding
from generator.explaining.notices import noticed_packages, package_notices
from generator.explaining.reading import read_request
from generator.explaining.reading_text import decoded
from generator.explaining.report import Answer, Command, Explanation, schema_of, to_json
from generator.explaining.request import Request, name_of
from generator.explaining.wheels import judge
from generator.explaining.words import answer_lines, lines_of
