"""Probing solves: whether a set of specs has a solution on some channels for some machine.

A solve costs milliseconds, so every claim of an explanation and every command it suggests is
tried, and none is read from the text of a SolverError.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from rattler import ChannelPriority, MatchSpec, PackageRecord, RepoDataRecord
from rattler import solve as rattler_solve
from rattler.exceptions import (
    GatewayError,
    InvalidMatchSpecError,
    InvalidPackageNameError,
    SolverError,
)
from rattler.repo_data.gateway import Gateway

from generator.errors import SolveError, UnreachableError
from generator.explaining.channels import Asked, Channels
from generator.explaining.computer import replaced, virtual_of
from generator.explaining.facts import aside, facts
from generator.explaining.records import matching
from generator.rattler_names import BuildString, RattlerSubdir
from generator.testing import Machine

#: seconds after which a solve says nothing, neither yes nor no
LIMIT: Final = 20.0
#: seconds of CPU time after which a second cause or a second command is not looked for any more
_PATIENCE: Final = 1.0
Solution = tuple[RepoDataRecord, ...]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where a request is solved: the machine, the channels in order, and how strictly."""

    machine: Machine
    sources: tuple[Asked, ...]
    strict: bool
    #: strict for what is asked for directly, too (see explaining.yaml)
    by_name: bool = True
    #: the kind of ARM machine, ``sbsa`` or ``tegra``; packages for the other one do not run
    arm_variant: str = ""

    @property
    def of_any_board(self) -> Setting:
        """The same as a client's solver sees it, which knows no boards."""
        return replace(self, arm_variant="")

    @property
    def usable(self) -> tuple[Asked, ...]:
        """The channels that there are records of."""
        return tuple(source for source in self.sources if source.usable)

    @property
    def subdirs(self) -> tuple[str, str]:
        """Where records that the machine can take lie."""
        return (self.machine.subdir, "noarch")

    def virtual(self, name: str) -> str:
        """Return the version of a virtual package; "" for one that the machine does not have."""
        return virtual_of(self.machine.virtual_packages, name)

    def within(self, other: Setting) -> bool:
        """Whether all that is there is in another setting, too, on the same machine."""
        alike = replace(self, sources=other.sources) == other
        return alike and not self.strict and set(self.usable) <= set(other.usable)

    def with_virtual(self, *texts: str) -> Setting:
        """Return the setting with ``__cuda=13.0`` replaced, or for ``__cuda=`` taken away."""
        packages = replaced(self.machine.virtual_packages, texts)
        return replace(self, machine=replace(self.machine, virtual_packages=packages))


class Prober:
    """Solves, and remembers what it solved."""

    def __init__(self, channels: Channels) -> None:
        self.channels = channels
        self._spent = 0.0
        self._known: dict[tuple[Setting, tuple[str, ...]], Solution | None] = {}
        #: what was asked for in a setting, and whether it can be had
        self._told: list[tuple[Setting, frozenset[str], bool]] = []

    @property
    def impatient(self) -> bool:
        """Whether so much was solved already that only the most needful is still worth it."""
        return self._spent > _PATIENCE

    def solve(self, specs: Sequence[str], setting: Setting) -> Solution | None:
        """Return the records that would be installed, None for no solution; raises SolveError.

        Without strict priority the best channel's own records are preferred, as clients do: the
        strict solution counts where there is one.
        """
        key = (setting, _same_asked(specs))
        if key not in self._known:
            wanted, found = key[1], None
            if setting.strict and setting.by_name:
                # beside its bare name a spec gets all records of the name, and the first channel's
                wanted = (*wanted, *map(spec_name, wanted))
            if not self._fails_in_part(key[1], setting):
                found = self._solve(wanted, setting, ChannelPriority.Strict)
                if found is None and not setting.strict and len(setting.usable) > 1:
                    found = self._solve(key[1], setting, ChannelPriority.Disabled)
            self._known[key] = found
            self._told.append((setting, _asked_in_all(key[1]), found is not None))
        return self._known[key]

    def goes(self, specs: Sequence[str], setting: Setting) -> bool:
        """Whether there is a solution, as far as possible by what was solved; raises SolveError.

        Without strict priority who asks for less, or of more channels, has no less.
        """
        key = (setting, _same_asked(specs))
        if key in self._known or setting.strict:
            return self.solve(specs, setting) is not None
        asked = _asked_in_all(key[1])
        for where, told, goes in self._told:
            if goes and asked <= told and where.within(setting):
                return True
            if not goes and told <= asked and setting.within(where):
                return False
        if self._fails_in_part(key[1], setting):
            return False
        if len(setting.usable) < 2:
            return self.solve(specs, setting) is not None
        found = self._solve(key[1], setting, ChannelPriority.Disabled) is not None
        self._told.append((setting, asked, found))
        return found

    def _fails_in_part(self, specs: Sequence[str], setting: Setting) -> bool:
        """Whether what is asked of torch and Python alone fails: that is known soonest."""
        if setting.strict:
            return False
        part = [spec for spec in specs if _aside(spec) < len(facts().core)]
        if 0 < len(part) < len(specs) and not self.goes(part, setting):
            return True
        return any(self._is_of_other_pythons(spec, specs, setting) for spec in specs)

    def _is_of_other_pythons(self, spec: str, beside: Sequence[str], setting: Setting) -> bool:
        """Whether a package has no record for the Python beside it, which needs no solver."""
        wanted = readable(spec)
        asked = [
            read for each in beside if spec_name(each) == "python" and (read := readable(each))
        ]
        if wanted is None or all(each.version is None for each in asked):
            return False
        records = matching(self.visible(spec_name(spec), setting), wanted)
        needs = {frozenset(d for d in r.depends if d.split()[0] == "python") for r in records}
        there = self.visible("python", setting)
        there = [each for each in there if all(read.matches(each) for read in asked)]
        return bool(needs and there) and not any(
            all((read := readable(text)) is None or read.matches(each) for text in need)
            for each in there
            for need in needs
        )

    def smallest_failing(self, specs: Sequence[str], setting: Setting) -> tuple[str, ...]:
        """Return a smallest subset without a solution, leaving out one after the other."""
        core = list(specs)
        # torch and its Python stay longest, and what brings most with it goes first: the rest is
        # quick to solve without it
        known = {spec: self._known.get((setting, _same_asked([spec]))) or () for spec in specs}
        for spec in sorted(specs, key=lambda s: (-_aside(s), -len(known[s]))):
            without = [each for each in core if each != spec]
            if without and not self.goes(without, setting):
                core = without
        return tuple(core)

    def fetch(self, names: Sequence[str], setting: Setting) -> None:
        """Ask the channels for several names at once."""
        for source in setting.usable:
            self.channels.fetch(source, setting.subdirs, names)

    def visible(self, name: str, setting: Setting) -> list[RepoDataRecord]:
        """Return the records of a name that the solver may take, by channel priority."""
        found: list[RepoDataRecord] = []
        for source in setting.usable:
            found += self.channels.records(source, setting.subdirs, name)
            if found and setting.strict:
                break
        return found

    def pythons(self, setting: Setting) -> tuple[str, ...]:
        """Return the Pythons that there are records of, ``3.12``, each once."""
        found = (str(record.version).split(".")[:2] for record in self.visible("python", setting))
        return tuple(dict.fromkeys(".".join(parts) for parts in found))

    def _solve(
        self, specs: Sequence[str], setting: Setting, priority: ChannelPriority
    ) -> Solution | None:
        usable = setting.usable
        if not usable:
            return None
        # records of a channel that did not answer are in the cached gateway, which has all others
        gateway = self.channels.gateway(
            next((source for source in usable if source.state == "cached"), usable[0])
        )
        started = time.process_time()
        try:
            return self._within(LIMIT, specs, setting, priority, gateway)
        except GatewayError as error:
            raise UnreachableError(
                str(error).splitlines()[0],
                where=", ".join(source.name for source in usable),
                next_step="run it again, or without one of the channels",
            ) from error
        finally:
            self._spent += time.process_time() - started

    def _within(
        self,
        limit: float,
        specs: Sequence[str],
        setting: Setting,
        priority: ChannelPriority,
        gateway: Gateway,
    ) -> Solution | None:
        """Solve within ``limit`` seconds; raises SolveError, GatewayError."""
        started = time.monotonic()
        try:
            wanted = [self._addressed(spec) for spec in specs]
        except (InvalidMatchSpecError, InvalidPackageNameError):
            return None  # a record needs what is no package: the solver does not take it either
        try:
            return tuple(
                asyncio.run(
                    rattler_solve(
                        [source.url for source in setting.usable],
                        wanted,
                        gateway=gateway,
                        platforms=[RattlerSubdir(name) for name in setting.subdirs],
                        virtual_packages=setting.machine.records(),
                        channel_priority=priority,
                        channel_relations="disabled",
                        constraints=[f"arm-variant * {setting.arm_variant}"]
                        if setting.arm_variant
                        else None,
                        timeout=dt.timedelta(seconds=limit),
                    )
                )
            )
        except SolverError as error:
            if time.monotonic() - started < limit:
                return None
            if limit == LIMIT:
                # a machine that stood still looks like a solver that does not finish: once more
                return self._within(3 * LIMIT, specs, setting, priority, gateway)
            raise SolveError(
                f"the solver did not finish within {limit:.0f} s",
                where=" ".join(specs),
                next_step="ask for fewer packages, or for exact versions",
            ) from error

    def _addressed(self, spec: str) -> MatchSpec:
        """Write ``channel::name`` with the channel's address, which may not be conda's host."""
        channel, separator, rest = spec.partition("::")
        if not separator or "://" in channel:
            return MatchSpec(spec)
        return MatchSpec(f"{self.channels.urls(channel)[0]}::{rest}")


def _same_asked(specs: Sequence[str]) -> tuple[str, ...]:
    """Write requests that ask for the same alike: a bare name says nothing beside more of it."""
    found = {str(read) if (read := readable(spec)) else spec for spec in specs if "::" not in spec}
    named = {text.split(maxsplit=1)[0] for text in found if " " in text}
    plain = {text for text in found if text not in named}
    return tuple(sorted(plain | {spec for spec in specs if "::" in spec}))


def _aside(spec: str) -> int:
    name = spec_name(spec)
    return -1 if name == "python" else aside(name)


def _asked_in_all(specs: Sequence[str]) -> frozenset[str]:
    """Return specs with the bare names that they ask for, too."""
    return frozenset((*specs, *(spec_name(spec) for spec in specs)))


def spec_name(spec: str) -> str:
    """Return the name of a package that a spec is about; "" for what is no package."""
    read = readable(spec.rpartition("::")[2])
    return str(read.name.normalized) if read is not None else ""


def readable(spec: str) -> MatchSpec | None:
    """Read what a record needs; None for what is no package: channels have such records."""
    try:
        return MatchSpec(spec)
    except (InvalidMatchSpecError, InvalidPackageNameError):
        return None


def satisfied(spec: str, setting: Setting) -> bool:
    """Whether the machine has the virtual package that a spec asks for."""
    wanted = readable(spec)
    return wanted is not None and any(
        wanted.matches(
            PackageRecord(
                each.name,
                str(each.version),
                BuildString(str(each.build_string)),
                0,
                setting.machine.subdir,
            )
        )
        for each in setting.machine.records()
    )


def foreign(record: RepoDataRecord, setting: Setting) -> bool:
    """Whether a build is for the other kind of ARM machine, a Jetson or a server."""
    wanted = [text.split()[-1] for text in record.depends if text.startswith("arm-variant ")]
    return bool(setting.arm_variant and wanted) and setting.arm_variant not in wanted[0]
