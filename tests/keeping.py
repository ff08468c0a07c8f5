"""The rows of keeping.yaml, run by several solvers on environments of records without files.

``python -m tests.keeping CLIENTS`` writes keeping_table.json anew, CLIENTS being the folder that
`make clients` made.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict
from rattler import Gateway, RepoDataRecord
from ruamel.yaml import YAML

from generator.atomic import write_text
from generator.console import Silent
from generator.datafiles import subdirs
from generator.errors import SolveError
from generator.project import Project
from generator.rendering import render, tree_records
from generator.testing import Machine, solve, write_record_channel
from tests import clients, solver_truth
from tests.conda_solvers import SOLVERS, Conda, State, lay
from tests.forge import standins
from tests.forge.standins import Group

TABLE: Final = Path(__file__).with_name("keeping_table.json")
OURS: Final = "py-rattler"
#: what is to stay, how `said` says it, and whose naming in a command frees it
_STAYS: Final = (
    ("accelerator", r"pytorch \S+ ([a-z]+)", ("cpuonly", "pytorch-cpu", "pytorch-gpu")),
    ("torch", r"pytorch (\d+\.\d+)", ("pytorch", "--all")),
    ("python", r"python (\d+\.\d+)", ("python", "--all")),
)
_TRIO: Final = ("pytorch", "torchvision", "torchaudio")


class Environment(BaseModel):
    """One kind of environment, and what is done in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on: str
    made: tuple[Literal["ours", "base"], ...]
    has: tuple[str, ...]
    does: tuple[str, ...]
    base: tuple[Group, ...] = ("ahead", "pytorch")

    def machine(self) -> Machine:
        """The machine it is on."""
        subdir, *virtual = solver_truth.load().machines[self.on].split()
        return Machine.of(subdirs()[subdir], native=False, added=virtual)


class Rows(BaseModel):
    """The whole of keeping.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    environments: dict[str, Environment]
    #: glob of ``<environment>: <command>: <change>`` -> why
    may: dict[str, str]


def load() -> Rows:
    """Read keeping.yaml."""
    return Rows.model_validate(YAML(typ="safe").load(TABLE.with_name("keeping.yaml")))


def changed(was: str, did: str, command: str) -> list[str]:
    """Say what a client made otherwise that the command does not ask for: of `said`'s words."""
    if did == "refused":
        return []
    _, *asked = command.split()
    found = []
    for what, pattern, names in _STAYS:
        before, after = (re.search(pattern, text) for text in (was, did))
        free = any(name in (spec.split("=")[0], spec) for name in names for spec in asked)
        if before and after and before[1] != after[1] and not free:
            found.append(f"{what} {before[1]} to {after[1]}")
    return found


def said(state: State) -> str:
    """Say which of the trio an environment has, from whom, and its Python: hashes left out."""
    found = [f"python {state['python'][0]}"]
    for name in _TRIO:
        if name in state:
            version, build, channel = state[name]
            found.append(f"{name} {version} {build.partition('_')[0]} ({channel})")
    return ", ".join(found)


@dataclass(frozen=True)
class World:
    """The channels, and where environments are laid."""

    ours: str
    #: groups -> address
    bases: dict[tuple[Group, ...], str]
    folder: Path
    gateway: Gateway

    def channels(self, environment: Environment) -> dict[str, str]:
        """Name -> address, ours first."""
        return {"ours": self.ours, "base": self.bases[environment.base]}

    def before(self, environment: Environment) -> list[RepoDataRecord]:
        """What the environment was made with."""
        channels = self.channels(environment)
        return solve(
            environment.has,
            channels=[channels[name] for name in environment.made],
            machine=environment.machine(),
            gateway=self.gateway,
        )

    def state(self, environment: Environment, records: Sequence[RepoDataRecord]) -> State:
        """What an environment has."""
        named = {url.rstrip("/"): name for name, url in self.channels(environment).items()}
        return {
            each.name.normalized: (
                str(each.version),
                str(each.build),
                named[str(each.channel).rstrip("/")],
            )
            for each in records
        }

    def by_rattler(
        self, environment: Environment, before: list[RepoDataRecord], command: str
    ) -> State:
        """What py-rattler makes of it; raises SolveError."""
        verb, *asked = command.split()
        wanted = [spec for spec in environment.has if _name(spec) not in map(_name, asked)]
        kept = [each for each in before if each.name.normalized not in map(_name, asked)]
        if verb != "remove":
            wanted += [spec for spec in asked if spec != "--all"]
        records = solve(
            wanted,
            channels=list(self.channels(environment).values()),
            machine=environment.machine(),
            installed=[] if "--all" in asked else kept,
            gateway=self.gateway,
        )
        return self.state(environment, records)

    def conda(self, solver: str, environment: Environment) -> Conda:
        """One of conda's solvers before an environment's channels."""
        return Conda(solver, self.channels(environment), environment.machine(), self.folder)

    def by_conda(
        self, solver: str, environment: Environment, before: list[RepoDataRecord], command: str
    ) -> State:
        """What conda makes of it; raises SolveError."""
        prefix = lay(self.folder / "prefix", before, environment.has)
        state = self.state(environment, before)
        return self.conda(solver, environment).plan(state, prefix, *command.split())

    def told(self, solver: str, environment: Environment, command: str) -> dict[str, str]:
        """What conda writes for a person of torch and Python, hashes left out."""
        says = self.conda(solver, environment).says(self.folder / "prefix", *command.split())
        short = re.compile(r"\S*?(\d[\w.]*-)(cpu|cuda\d*|h)[\w~.]*")
        return {
            name: short.sub(r"\1\2", text)
            for name, text in says.items()
            if name in ("pytorch", "python")
        }


def _name(spec: str) -> str:
    return re.split(r"[ =<>]", spec, maxsplit=1)[0]


@dataclass(frozen=True)
class Did:
    """What a row came to.

    Attributes:
        what: what there `was`, and what each solver made of it.
        told: solver of conda's -> what it writes for a person, where it changed what is to stay.
    """

    row: str
    what: dict[str, str]
    told: dict[str, dict[str, str]]


def run(world: World, solvers: Sequence[str]) -> Iterator[Did]:
    """Run the rows."""
    for name, environment in load().environments.items():
        before = world.before(environment)
        for command in environment.does:
            was = said(world.state(environment, before))
            did = Did(f"{name}: {command}", {"was": was}, {})
            for solver in solvers:
                try:
                    if solver == OURS:
                        state = world.by_rattler(environment, before, command)
                    else:
                        state = world.by_conda(solver, environment, before, command)
                    did.what[solver] = said(state)
                    if solver != OURS and changed(was, did.what[solver], command):
                        did.told[solver] = world.told(solver, environment, command)
                except SolveError:
                    did.what[solver] = "refused"
            yield did


def make(folder: Path, project: Project) -> World:
    """Write the channels into a folder: what a project's lock renders, and conda-forge's."""
    records = tree_records(render(project.declared(), project.locked()))
    bases = {each.base for each in load().environments.values()}
    return World(
        ours=write_record_channel(records.values(), folder / "ours"),
        bases={each: standins.write(folder / "-".join(each), groups=each) for each in bases},
        folder=folder,
        gateway=Gateway(),
    )


def main(named: str) -> None:
    """Write the table."""
    os.environ["ARMTORCH_CLIENTS"] = named
    project = Project(feedstock=TABLE.parent / "feedstock/feedstock.yaml", narrator=Silent())
    with tempfile.TemporaryDirectory(prefix="armtorch-keeping-") as folder:
        done = list(run(make(Path(folder), project), (OURS, *SOLVERS)))
    table = {
        "versions": {"py-rattler": metadata.version("py-rattler"), **clients.versions()},
        "rows": {did.row: did.what for did in done},
        "told": {did.row: did.told for did in done if did.told},
    }
    write_text(TABLE, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
