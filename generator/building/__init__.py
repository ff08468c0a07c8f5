"""Drives rattler-build: wheelhouse, parallel workers, the seal; skips what the channel has."""

from generator.building.archive import open_payload, read_info, read_json
from generator.building.driver import Settings, build
from generator.building.expecting import Expected
from generator.building.judging import Audit, Contents, Judgement
from generator.building.planning import Destination, file_name, is_there
from generator.building.report import BuildReport, Row, Savings
from generator.building.seal import Sealed, seal
from generator.building.wheelhouse import (
    default_root,
    fetch,
    fetch_unhashed,
    link_wheelhouse,
    place_of,
)

__all__ = [
    "Audit",
    "BuildReport",
    "Contents",
    "Destination",
    "Expected",
    "Judgement",
    "Row",
    "Savings",
    "Sealed",
    "Settings",
    "build",
    "default_root",
    "fetch",
    "fetch_unhashed",
    "file_name",
    "is_there",
    "link_wheelhouse",
    "open_payload",
    "place_of",
    "read_info",
    "read_json",
    "seal",
]
