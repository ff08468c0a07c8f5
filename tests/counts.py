"""How often randomised tests try and which begin, from settings.yaml."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def count(name: str) -> int:
    """Return the number of tries of test kind `name` for the run that is under way."""
    return int(_settings()[name][_kind()])


def first() -> list[str]:
    """Return the files of tests that begin before all others."""
    return list(_settings()["first"])


def proving() -> bool:
    """Whether it is the run with the full counts."""
    return _kind() == "prove"


def _settings() -> Any:
    return YAML(typ="safe").load(Path(__file__).with_name("settings.yaml"))


def _kind() -> str:
    return os.environ.get("ARMTORCH_TEST_COUNTS", "test")
