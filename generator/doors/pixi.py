"""``pixi armtorch ...``: pixi runs an executable ``pixi-armtorch`` (pixi docs, "Extensions")."""

from __future__ import annotations

import sys

from generator.doors.asking import ask


def main() -> None:
    """Run what stands behind ``pixi armtorch``."""
    raise SystemExit(ask(sys.argv[1:], door="pixi armtorch"))
