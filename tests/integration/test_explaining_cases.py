"""What people type, on machines they have: causes, commands and words, from explain_cases.yaml."""

from __future__ import annotations

import asyncio
import re
import shlex

import pytest
from rattler import (
    Channel,
    ChannelConfig,
    ChannelPriority,
    GenericVirtualPackage,
    MatchSpec,
    solve,
)
from rattler.platform import Subdir

from generator.explaining import lines_of
from generator.testing import Machine
from tests import explain_cases

pytestmark = pytest.mark.integration

CASES = explain_cases.load()


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_causes_and_commands_of(case, cached, recorded_alias, tmp_path):
    found = explain_cases.explained(case, cached, recorded_alias, tmp_path)
    assert explain_cases.asked(case) | explain_cases.expectation(found) == case
    assert len(lines_of(found)) < 20
    for command in found.commands:
        assert solves(command.command, found, case, recorded_alias), command.command


def solves(command, found, case, recorded_alias):
    """Solve a command line from its words alone, with nothing of armtorch's search."""
    subdir = found.subdir
    virtual, command = _overridden(found.virtual_packages, command)
    words: list[str] = []
    channels: list[str] = []
    specs = [f"python={case['python']}"] if "python" in case and " create " not in command else []
    parts = [part for part in shlex.split(command) if part != "&&"]
    while parts:
        word = parts.pop(0)
        if word == "--platform" or word.startswith("CONDA_SUBDIR="):
            subdir = word.partition("=")[2] or parts.pop(0)
        elif word in {"-n", "-p"}:
            parts.pop(0)
        elif word == "-c":
            channels.append(parts.pop(0))
        elif word == "--prepend":
            channels.insert(0, parts.pop(0))
            words.clear()
        elif not word.startswith("-"):
            words.append(word)
    skipped = {"conda", "mamba", "micromamba", "pixi", "install", "create", "add"}
    specs += [word for word in words if word not in skipped | {"workspace", "channel"}]
    defaults = case.get("defaults") or ["conda-forge"]
    if "--override-channels" not in command:
        channels += defaults
    if "--strict" in command:
        # conda goes by the name, whatever version is asked for
        specs += [str(MatchSpec(spec).name.normalized) for spec in specs]
    strict = "--strict" in command or command.startswith("pixi") or "pixi add" in command
    machine = Machine(subdir=subdir, virtual_packages=virtual)
    config = ChannelConfig(f"{recorded_alias}/")
    priorities = [ChannelPriority.Strict] + ([] if strict else [ChannelPriority.Disabled])
    for priority in priorities:
        try:
            asyncio.run(
                solve(
                    [Channel(name, config) for name in dict.fromkeys(channels)],
                    [MatchSpec(spec) for spec in specs],
                    platforms=[Subdir(subdir), Subdir("noarch")],
                    virtual_packages=_virtual(machine),
                    channel_priority=priority,
                )
            )
        except Exception as error:  # noqa: BLE001 - whatever rattler raises, it is no solution
            assert "SolverError" in type(error).__name__, error  # noqa: PT017
        else:
            return True
    return False


def _overridden(virtual, command):
    """Take what names the driver out of a command, and put it into the virtual packages."""
    if match := re.search(r"CONDA_OVERRIDE_CUDA=(\S+) ", command):
        told = f"pixi workspace system-requirements add cuda {match[1]} && "
        assert command.startswith("pixi") is (told in command)
        command = command.replace(match[0], "").replace(told, "")
        virtual = (*(v for v in virtual if not v.startswith("__cuda=")), f"__cuda={match[1]}")
    return virtual, command


def _virtual(machine: Machine) -> list[GenericVirtualPackage]:
    return machine.records()


def test_there_are_enough_cases_of_every_cause():
    causes = {line.split()[0] for case in CASES for line in case.get("causes", [])}
    assert len(CASES) >= 40
    # channels that do not answer, or answer nonsense: test_explaining_channels.py
    assert causes == {
        "absent",
        "elsewhere",
        "python",
        "version",
        "build",
        "priority",
        "virtual",
        "conflict",
        "dependencies",
        "no-channel",
    }
