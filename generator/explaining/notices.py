"""Warnings that no virtual package can carry: what installs on a machine and then does not work."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rattler import MatchSpec, PackageRecord, RepoDataRecord

from generator.explaining.computer import Computer, virtual_of
from generator.explaining.facts import Warn, facts, warnings
from generator.rattler_names import BuildString
from generator.testing import Machine

Record = RepoDataRecord | PackageRecord


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One warning that holds, or may hold where the machine is not known well enough."""

    id: str
    text: str
    advice: str
    #: False where the machine's files would have to tell
    certain: bool


def notices(
    machine: Machine, computer: Computer | None, records: Iterable[Record]
) -> tuple[Notice, ...]:
    """Return the warnings about a machine and about ``records`` on it.

    ``computer`` is None for a machine that nobody could look at.
    """
    known = list(records)
    return tuple(
        _notice(warning, version, certain=certain)
        for warning in warnings()
        if (certain := _holds(warning, machine, computer)) is not None
        and ((version := _affected(warning, known)) or not warning.package)
    )


def machine_notices(computer: Computer) -> tuple[Notice, ...]:
    """Return the warnings that are certain of a machine, whatever is installed."""
    return tuple(
        _notice(warning, warning.versions.replace("|", " or "), certain=True)
        for warning in _certain(computer.machine(), computer)
    )


def package_notices(offered: Iterable[tuple[str, str, str]]) -> tuple[Notice, ...]:
    """Return what is to be known of packages before a machine is named.

    ``offered`` is subdir, name and version of our own packages.
    """
    rows = sorted(set(offered))
    return tuple(
        _notice(warning, version, certain=False)
        for warning in warnings()
        for subdir, name, version in rows
        if warning.when.subdir == subdir and _affected(warning, [built(subdir, name, version)])
    )


def noticed_packages() -> frozenset[str]:
    """Return the names of the packages that warnings are about."""
    return frozenset(warning.package for warning in warnings() if warning.package)


def built(subdir: str, name: str, version: str) -> PackageRecord:
    """Return a record as our own packages have it."""
    return PackageRecord(name, version, BuildString("0"), 0, subdir)


def excluded(machine: Machine, computer: Computer | None) -> dict[str, str]:
    """Return the packages, with their versions, that certainly do not run on the machine."""
    rows = _certain(machine, computer)
    return {warning.package: warning.versions for warning in rows if warning.package}


def fatal(machine: Machine, computer: Computer | None, records: Iterable[Record]) -> bool:
    """Whether one of ``records`` certainly does not run on the machine."""
    known = list(records)
    return any(_affected(warning, known) for warning in _certain(machine, computer))


def _certain(machine: Machine, computer: Computer | None) -> list[Warn]:
    return [warning for warning in warnings() if _holds(warning, machine, computer)]


def _notice(warning: Warn, version: str, *, certain: bool) -> Notice:
    text = warning.short.format(version=version)
    return Notice(id=warning.id, text=text, advice=warning.advice, certain=certain)


def _holds(warning: Warn, machine: Machine, computer: Computer | None) -> bool | None:
    """Whether it is about the machine: True, None for no, False for perhaps."""
    when = warning.when
    if when.subdir != machine.subdir:
        return None
    if computer is None and (when.board or when.l4t or when.hardware or when.libc or when.shadowed):
        return None
    if computer is not None:
        checks = (
            when.board is None or re.search(when.board, computer.board) is not None,
            when.l4t is None or computer.l4t.split(".")[0] == when.l4t,
            when.libc is None or computer.musl,
            when.hardware is None or computer.hardware == when.hardware,
            not when.shadowed or bool(computer.shadowed),
        )
        if not all(checks):
            return None
    lse = _lse(machine) if computer is None or computer.lse is None else computer.lse
    if when.lse is not None and lse is not when.lse:
        return False if lse is None else None
    return True


def _lse(machine: Machine) -> bool | None:
    """Return what ``__archspec`` tells of ARMv8.1's atomics; None for CPUs that nobody listed."""
    name = virtual_of(machine.virtual_packages, "__archspec").rpartition(" ")[2]
    return False if name in facts().without_lse else None


def _affected(warning: Warn, records: Iterable[Record]) -> str:
    """Return the version of the record that a warning is about, "" for none."""
    if not warning.package:
        return ""
    spec = MatchSpec(f"{warning.package} {warning.versions}")
    for record in records:
        channel = str(record.channel or "") if isinstance(record, RepoDataRecord) else ""
        if spec.matches(record) and channel.rstrip("/").rsplit("/", 1)[-1] not in warning.not_from:
            return str(record.version)
    return ""
