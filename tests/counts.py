"""How often randomised tests try, from settings.yaml."""

from __future__ import annotations

import os
from pathlib import Path

from ruamel.yaml import YAML


def count(name: str) -> int:
    """Return the number of tries of test kind `name` for the run that is under way."""
    settings = YAML(typ="safe").load(Path(__file__).with_name("settings.yaml"))
    return int(settings[name][_kind()])


def proving() -> bool:
    """Whether it is the run with the full counts."""
    return _kind() == "prove"


def _kind() -> str:
    return os.environ.get("ARMTORCH_TEST_COUNTS", "test")
