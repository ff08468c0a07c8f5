"""Why a conda command fails on ARM, which one works, and what channels have of each cell."""

from generator.explaining.channels import ALIAS, TIMEOUT, Access, Channels
from generator.explaining.computer import Computer, System, look
from generator.explaining.condarc import read_condarc
from generator.explaining.coverage import Coverage, CoverageRow, Offer, coverage
from generator.explaining.doctor import Checkup, fitting_cell
from generator.explaining.explain import Context, explain
from generator.explaining.facts import common_virtual_packages
from generator.explaining.findings import Finding
from generator.explaining.notices import Notice, machine_notices, package_notices
from generator.explaining.reading import read_request
from generator.explaining.report import Command, Explanation, schema_of, to_json
from generator.explaining.request import Request, name_of
from generator.explaining.words import lines_of

__all__ = [
    "ALIAS",
    "TIMEOUT",
    "Access",
    "Channels",
    "Checkup",
    "Command",
    "Computer",
    "Context",
    "Coverage",
    "CoverageRow",
    "Explanation",
    "Finding",
    "Notice",
    "Offer",
    "Request",
    "System",
    "common_virtual_packages",
    "coverage",
    "explain",
    "fitting_cell",
    "lines_of",
    "look",
    "machine_notices",
    "name_of",
    "package_notices",
    "read_condarc",
    "read_request",
    "schema_of",
    "to_json",
]
