"""METADATA of real wheels, their headers as far as naming reads them (tests/unit/metadata)."""

from __future__ import annotations

from email.parser import Parser
from pathlib import Path

from generator.model import Metadata

FOLDER = Path(__file__).parent / "metadata"


def wheel_metadata(stem: str) -> Metadata:
    """Read ``<stem>.metadata`` as the lock would hold it."""
    message = Parser().parsestr((FOLDER / f"{stem}.metadata").read_text(encoding="utf-8"))
    return Metadata(
        name=message["Name"],
        version=message["Version"],
        requires_python=message["Requires-Python"] or "",
        requires_dist=tuple(dict.fromkeys(message.get_all("Requires-Dist") or ())),
        license=message["License-Expression"] or message["License"] or "",
    )
