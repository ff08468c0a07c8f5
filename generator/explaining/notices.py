"""Warnings that no virtual package can carry: what installs on a machine and then does not work."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ConfigDict
from rattler import MatchSpec, RepoDataRecord

from generator.explaining.computer import Computer
from generator.explaining.facts import Warn, facts, warnings
from generator.testing import Machine


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One warning that holds, or may hold where the machine is not known well enough."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: str
    text: str
    advice: str
    #: False where the machine's files would have to tell
    certain: bool


def notices(
    machine: Machine, computer: Computer | None, records: Iterable[RepoDataRecord]
) -> tuple[Notice, ...]:
    """Return the warnings about ``records`` on a machine; ``computer`` is None for any other."""
    found = []
    for warning in warnings():
        certain = _holds(warning, machine, computer)
        if certain is None or warning.when.subdir != machine.subdir:
            continue
        version = _affected(warning, records)
        if version:
            found.append(
                Notice(
                    id=warning.id,
                    text=warning.short.format(version=version),
                    advice=warning.advice,
                    certain=certain,
                )
            )
    return tuple(found)


def machine_notices(computer: Computer) -> tuple[Notice, ...]:
    """Return the warnings that are certain of a machine, whatever is installed."""
    machine = computer.machine()
    return tuple(
        Notice(
            id=warning.id,
            text=warning.short.format(version=warning.versions.replace("|", " and ")),
            advice=warning.advice,
            certain=True,
        )
        for warning in warnings()
        if warning.when.subdir == machine.subdir and _holds(warning, machine, computer)
    )


def _holds(warning: Warn, machine: Machine, computer: Computer | None) -> bool | None:
    """Whether it is about the machine: True, None for no, False for perhaps."""
    when = warning.when
    lse = _lse(machine) if computer is None or computer.lse is None else computer.lse
    if when.lse is not None:
        if lse is None:
            return False
        if lse is not when.lse:
            return None
    if computer is None:
        return True if when.board is None and when.l4t is None and when.emulated is None else None
    if when.board is not None and re.search(when.board, computer.board) is None:
        return None
    if when.l4t is not None and computer.l4t.split(".")[0] != when.l4t:
        return None
    if when.emulated is not None and computer.emulated is not when.emulated:
        return None
    return True


def _lse(machine: Machine) -> bool | None:
    """Return what ``__archspec`` tells of ARMv8.1's atomics; None for CPUs that nobody listed."""
    for text in machine.virtual_packages:
        if text.startswith("__archspec=") and text.split("=")[-1] in facts().without_lse:
            return False
    return None


def _affected(warning: Warn, records: Iterable[RepoDataRecord]) -> str:
    spec = MatchSpec(f"{warning.package} {warning.versions} {warning.builds}")
    for record in records:
        channel = str(record.channel or "").rstrip("/").rsplit("/", 1)[-1]
        if spec.matches(record) and channel not in warning.not_from:
            return str(record.version)
    return ""
