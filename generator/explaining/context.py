"""What an explanation knows beside the request, and what may be suggested to this person."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from generator.explaining.channels import Asked, Channels
from generator.explaining.computer import Computer, is_tegra
from generator.explaining.facts import facts
from generator.explaining.notices import excluded, fatal
from generator.explaining.probing import Setting, Solution
from generator.explaining.request import LOOSE, Request, name_of
from generator.testing import Machine


@dataclass(frozen=True, kw_only=True)
class Context:
    """What an explanation knows beside the request."""

    channels: Channels
    machine: Machine
    #: None where the request is for another machine than this one
    computer: Computer | None = None
    #: our channel as commands name it, "" for none
    ours: str = ""
    #: what ours needs beside it
    base: tuple[str, ...] = ()
    #: the subdir of the hardware where the request is for another one, "" otherwise
    native: str = ""
    #: machines of other subdirs that the same hardware runs, or that a command may name
    others: Mapping[str, Machine] = field(default_factory=dict)

    @property
    def tegra(self) -> bool:
        """Whether it is a Jetson that runs builds for Jetson alone."""
        return self.computer is not None and is_tegra(self.computer)

    @property
    def emulated(self) -> tuple[str, ...]:
        """Subdirs that the machine runs under emulation."""
        return facts().emulated_on.get(self.machine.subdir, ())

    @property
    def hard(self) -> tuple[str, ...]:
        """Specs that keep away what does not run on the machine, the least first."""
        away = excluded(self.machine, self.computer).items()
        none = (f"{name} !={versions.replace('|', ',!=')}" for name, versions in away)
        return (*none, "pytorch * cpu*")

    @property
    def prepares(self) -> bool:
        """Whether it may prepare an environment for a machine with a GPU.

        A board computes on itself; a server may be the login node of others.
        """
        board = self.computer is not None and bool(self.computer.board)
        virtual = self.machine.virtual_packages
        return not board and not any(text.startswith("__cuda=") for text in virtual)

    def setting(self, request: Request) -> Setting:
        """Return where a request is solved."""
        machine = self.machine
        if request.subdir not in {None, machine.subdir}:
            machine = self.others.get(str(request.subdir), machine)
        denied = dict(request.denied)
        asked = (name for name in request.searched if name not in denied)
        refused = (
            Asked(name=name, url=self.channels.urls(name)[0], state="denied", detail=denied[name])
            for name in request.searched
            if name in denied
        )
        setting = Setting(
            machine=machine,
            sources=(*self.channels.open(asked, machine.subdir), *refused),
            strict=request.strict,
            by_name=facts().clients[request.client].by_name,
            arm_variant=self._arm_variant(request, machine),
        )
        return setting.with_virtual(*request.overrides)

    def _arm_variant(self, request: Request, machine: Machine) -> str:
        """Return which kind of CUDA builds run on the machine, ``tegra`` or ``sbsa``; "" for any.

        conda-forge's arm-variant tells them apart (cuda-feedstock, recipe guide); no virtual
        package does, so a solver takes either.
        """
        if machine.subdir != "linux-aarch64":
            return ""
        if self.computer is not None:
            return "tegra" if self.tegra else "sbsa"
        # of a machine that nobody could look at, who names one line of builds knows it better
        named = any(
            "tegra" in spec or name_of(spec) == "arm-variant" or re.search(r"cuda\d{3}", spec)
            for spec in request.specs
        )
        return "" if named else "sbsa"

    def refuses(self, brought: Solution) -> bool:
        """Whether what is installed certainly does not run on the machine."""
        if fatal(self.machine, self.computer, brought):
            return True
        variants = {str(r.build) for r in brought if r.name.normalized == "arm-variant"}
        return bool(variants) and not any(("tegra" in text) is self.tegra for text in variants)

    def silence(self, name: str) -> str:
        """Return why a channel cannot be suggested, "" where it can."""
        sources = self.channels.open((name,) if name else (), self.machine.subdir)
        bad = [source for source in sources if not source.usable]
        return f"{bad[0].name} is {bad[0].state} ({bad[0].detail})" if bad else ""

    def rooms(self, request: Request, *, ours: bool = True) -> list[Request]:
        """Return where a request may be solved: its own channels, ours, base; or loosely."""
        missing = (name for name in self.base if name not in request.searched)
        base = tuple(name for name in missing if not self.silence(name))
        found = [request]
        if ours and self.ours and self.ours not in request.searched and not self.silence(self.ours):
            found.append(replace(request, channels=(self.ours, *request.channels, *base)))
        if base:
            found.append(replace(request, channels=(*request.channels, *base)))
        # a workspace's priority is no part of a pixi command
        if request.strict and request.client != "pixi":
            found += [replace(each, strict=False, loose=LOOSE) for each in found]
        return list(dict.fromkeys(found))
