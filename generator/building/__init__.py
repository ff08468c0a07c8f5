"""Drives rattler-build: wheelhouse, parallel workers, the seal; skips what the channel has."""

from generator.building.archive import open_payload, read_info, read_json
from generator.building.driver import Settings, build
from generator.building.expecting import Expected
from generator.building.judging import Contents, Judgement
from generator.building.planning import ToBuild, file_name, plan
from generator.building.report import BuildReport, Row, Savings
from generator.building.seal import seal
from generator.building.wheelhouse import fetch, fetch_unhashed, link_wheelhouse, place_of
