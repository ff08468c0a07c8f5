"""Why a conda command fails on ARM, which one works, and what channels have of each cell."""

from generator.explaining.boards import BoardRow, boards, serves
from generator.explaining.channels import ALIAS, TIMEOUT, Access, Channels
from generator.explaining.computer import Computer, System, look, with_overrides
from generator.explaining.condarc import Condarc, read_condarc
from generator.explaining.coverage import Coverage, CoverageRow, Offer, coverage
from generator.explaining.doctor import Checkup, fitting_cell
from generator.explaining.explain import Context, explain
from generator.explaining.facts import common_virtual_packages
from generator.explaining.findings import Finding
from generator.explaining.notices import Notice, machine_notices, package_notices
from generator.explaining.reading import Reader, read_request
from generator.explaining.reading_pip import PipRequest
from generator.explaining.reading_scripts import Step, Unread
from generator.explaining.reading_text import decoded
from generator.explaining.report import Answer, Command, Explanation, schema_of, to_json
from generator.explaining.request import Request, name_of
from generator.explaining.wheels import Wheel, conda_names, corrected_file, judge, plainly
from generator.explaining.words import answer_lines, lines_of

__all__ = [
    "ALIAS",
    "TIMEOUT",
    "Access",
    "Answer",
    "BoardRow",
    "Channels",
    "Checkup",
    "Command",
    "Computer",
    "Condarc",
    "Context",
    "Coverage",
    "CoverageRow",
    "Explanation",
    "Finding",
    "Notice",
    "Offer",
    "PipRequest",
    "Reader",
    "Request",
    "Step",
    "System",
    "Unread",
    "Wheel",
    "answer_lines",
    "boards",
    "common_virtual_packages",
    "conda_names",
    "corrected_file",
    "coverage",
    "decoded",
    "explain",
    "fitting_cell",
    "judge",
    "lines_of",
    "look",
    "machine_notices",
    "name_of",
    "package_notices",
    "plainly",
    "read_condarc",
    "read_request",
    "schema_of",
    "serves",
    "to_json",
    "with_overrides",
]  # fmt: skip
