"""METADATA of real wheels, their headers as far as naming reads them (tests/unit/metadata)."""

from __future__ import annotations

from pathlib import Path

from generator.model import Metadata
from generator.upstream.core_metadata import parse_metadata
from generator.upstream.offers import parse_offer

FOLDER = Path(__file__).parent / "metadata"


def wheel_metadata(stem: str) -> Metadata:
    """Read ``<stem>.metadata`` as the lock would hold it."""
    offer = parse_offer(f"{stem}.whl", index="pypi", url="", sha256=None, size=None)
    assert offer is not None
    return parse_metadata((FOLDER / f"{stem}.metadata").read_bytes(), offer)
