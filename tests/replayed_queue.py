"""Concurrency groups: who runs, who waits, and whom a later one ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.replayed_expressions import filled
from tests.replayed_rules import rule


def concurrency(workflow: Any, job: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the group of a job, or of a workflow where ``job`` is "", with its expressions."""
    found = (workflow["jobs"][job] if job else workflow).get("concurrency", {})
    return {key: filled(value, values, {}) for key, value in found.items()}


@dataclass
class Queue:
    """One concurrency group: who runs, who waits, and whom a later one ended."""

    running: str = ""
    waiting: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def come(self, name: str, group: Mapping[str, Any]) -> None:
        """Let one more ask for its turn."""
        if self.running and group.get("cancel-in-progress") is True:
            self.ended.append(self.running)
            self.running = ""
        if not self.running:
            self.running = name
            return
        self.waiting.append(name)
        places = rule("one_pending") if group.get("queue") == "max" else 1
        while len(self.waiting) > places:
            self.ended.append(self.waiting.pop(0))

    def leave(self) -> str:
        """Let the one that runs end, and return who runs then."""
        self.running = self.waiting.pop(0) if self.waiting else ""
        return self.running
