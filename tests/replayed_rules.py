"""GitHub's public rules, from runner_rules.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


@cache
def rules() -> dict[str, dict[str, Any]]:
    """Read all rows."""
    text = Path(__file__).with_name("runner_rules.yaml").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(text)
    return found


def rule(name: str) -> Any:
    """Return the value of a rule."""
    return rules()[name]["value"]
