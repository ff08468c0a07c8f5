"""The rows of solver_truth.yaml, and how one of them is solved."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rattler import Gateway, RepoDataRecord
from ruamel.yaml import YAML

from generator.datafiles import subdirs
from generator.testing import Machine, Priority, solve
from tests.forge.standins import Group

_FILE = Path(__file__).with_name("solver_truth.yaml")
_PROGRAMS = {"conda", "mamba", "micromamba", "pixi"}
#: what these programs take a virtual package's version from
_OVERRIDE = re.compile(r"CONDA_OVERRIDE_([A-Z]+)=(\S+)")
#: options of conda, mamba and pixi that take a value
_VALUED = {"-n", "--name", "-c", "--channel", "-p", "--prefix"}


class Row(BaseModel):
    """One command on one kind of machine, and what it must give."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str
    on: str
    base: tuple[Group, ...] = ("ahead", "pytorch")
    priority: Priority = "strict"
    #: what was asked for before, with the base channel alone
    after: str = ""
    #: package -> ``<channel> <version> <build>``, the build's hash left out as ``*``
    gives: dict[str, str] = {}
    #: what the solver must name when it refuses
    refused: str = ""
    #: why it is so, where that is not plain
    why: str = ""
    #: why other clients may do otherwise, where one does (solver_clients.json)
    others: str = ""

    @property
    def name(self) -> str:
        """What tells it from all other rows."""
        base = (
            "" if self.base == ("ahead", "pytorch") else f", base {'+'.join(self.base) or 'plain'}"
        )
        priority = "" if self.priority == "strict" else f", {self.priority}"
        return f"{self.on}{base}{priority}: {self.command}" + (
            f", after {self.after}" if self.after else ""
        )


class Table(BaseModel):
    """The whole of solver_truth.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: name -> subdir and virtual packages
    machines: dict[str, str]
    rows: tuple[Row, ...]


def load() -> Table:
    """Read the table."""
    return Table.model_validate(YAML(typ="safe").load(_FILE))


def specs(command: str) -> list[str]:
    """Return what a command line of conda, mamba, micromamba or pixi asks for."""
    words = iter(shlex.split(command))
    found: list[str] = []
    for word in words:
        if word in _PROGRAMS:
            next(words)
            found.clear()
            continue
        if word in _VALUED:
            next(words)
        elif not word.startswith("-"):
            found.append(word)
    return found


@dataclass(frozen=True)
class Solved:
    """What a row gave, and all there was to choose from."""

    row: Row
    records: tuple[RepoDataRecord, ...]
    ours: str

    def found(self, name: str) -> str:
        """Return ``<channel> <version> <build>`` of a package; "" where it was not chosen."""
        for record in self.records:
            if record.name.normalized == name:
                return said(record, self.ours)
        return ""


def said(record: RepoDataRecord, ours: str) -> str:
    """Say which build of which channel a record is."""
    channel = "ours" if str(record.channel).rstrip("/") == ours.rstrip("/") else "base"
    return f"{channel} {record.version} {record.build}"


def machine_of(row: Row, table: Table) -> Machine:
    """Return the machine of a row, with what its command says of it."""
    subdir, *virtual = table.machines[row.on].split()
    virtual += [f"__{name.lower()}={version}" for name, version in _OVERRIDE.findall(row.command)]
    return Machine.of(subdirs()[subdir], native=False, added=virtual)


def run(row: Row, table: Table, *, ours: str, base: str, gateway: Gateway) -> Solved:
    """Solve a row; raises SolveError as `solve` does."""
    machine = machine_of(row, table)
    before: list[RepoDataRecord] = []
    asked = specs(row.command)
    if row.after:
        earlier = specs(row.after)
        before = solve(earlier, channels=[base], machine=machine, gateway=gateway)
        named = {spec.split("=")[0].split(" ")[0] for spec in asked}
        # conda keeps to what was asked for before, and frees what is asked for now
        asked += [spec for spec in earlier if spec.split("=")[0] not in named]
        before = [record for record in before if record.name.normalized not in named]
    records = solve(
        asked,
        channels=[ours, base],
        machine=machine,
        priority=row.priority,
        installed=before,
        gateway=gateway,
    )
    return Solved(row, tuple(records), ours)
