"""The audit's rules by name; data/audit_rules.yaml says what each means and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Literal

from generator.datafiles import load_data
from generator.model.closed import Closed

Severity = Literal["error", "note"]


@dataclass(frozen=True, kw_only=True)
class _Row(Closed):
    severity: Severity
    title: str
    fix: str


class Rule(Enum):
    """One thing the audit can find. Ids are never reused: policy rows and issues name them."""

    MACHINE = "L-001"
    CORRUPT = "L-002"
    NOBODY = "L-003"
    UNDECLARED = "L-004"
    UNREACHABLE = "L-005"
    FLOOR_TOO_LOW = "L-006"
    FLOOR_HIGHER = "L-007"
    UNUSED = "L-008"
    COMPATIBILITY = "L-009"
    ESCAPES = "L-010"
    DANGLES = "L-011"
    BUNDLED = "L-012"
    BUILD_MACHINE = "L-013"
    KEPT = "L-014"
    TEXT_RELOCATIONS = "L-015"
    EXECUTABLE_STACK = "L-016"
    NAME_TWICE = "L-017"
    NAMELESS = "L-018"
    ABSOLUTE_NEED = "L-019"
    ABSOLUTE_NAME = "L-020"
    BUILD_FOLDER = "L-021"
    TWO_RUNTIMES = "L-022"
    UNMET = "L-023"
    UNKNOWN = "L-024"

    @property
    def id(self) -> str:
        """What policy rows and issues call it."""
        return self.value

    @property
    def severity(self) -> Severity:
        """Whether it stops a build."""
        return _rows()[self].severity

    @property
    def title(self) -> str:
        """What it means to find it."""
        return _rows()[self].title

    @property
    def fix(self) -> str:
        """What to do about it."""
        return _rows()[self].fix


@cache
def _rows() -> dict[Rule, _Row]:
    return load_data("audit_rules.yaml", dict[Rule, _Row])
