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
from tests.forge import standins
from tests.forge.standins import Group

TABLE: Final = Path(__file__).with_name("keeping_table.json")
OURS: Final = "py-rattler"
#: conda's name of each solver that is asked, beside py-rattler
CONDA: Final = ("classic", "rattler")
#: what conda takes virtual packages from
_OVERRIDES: Final = {"__cuda": "CUDA", "__glibc": "GLIBC", "__osx": "OSX"}
#: what conda raises where there is no solution
_REFUSALS: Final = {
    "UnsatisfiableError",
    "PackagesNotFoundError",
    "RattlerUnsatisfiableError",
    "SpecsConfigurationConflictError",
    "PackagesNotFoundInChannelsError",
}
#: what is to stay, how `said` says it, and whose naming in a command frees it
_STAYS: Final = (
    ("accelerator", r"pytorch \S+ ([a-z]+)", ()),
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


def said(state: dict[str, tuple[str, str, str]]) -> str:
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

    def state(
        self, environment: Environment, records: Sequence[RepoDataRecord]
    ) -> dict[str, tuple[str, str, str]]:
        """Name -> version, build and channel."""
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
    ) -> dict[str, tuple[str, str, str]]:
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

    def by_conda(
        self, solver: str, environment: Environment, before: list[RepoDataRecord], command: str
    ) -> dict[str, tuple[str, str, str]]:
        """What conda makes of it; raises SolveError."""
        prefix = _lay(self.folder / "prefix", before, environment.has)
        channels, machine = self.channels(environment), environment.machine()
        found = dict(text.split("=")[:2] for text in machine.virtual_packages if "=" in text)
        variables = {
            f"CONDA_OVERRIDE_{name}": found.get(package, "") for package, name in _OVERRIDES.items()
        }
        variables |= {
            "CONDA_SUBDIR": machine.subdir,
            "CONDA_PKGS_DIRS": str(self.folder / "packages"),
            "CONDA_CHANNEL_PRIORITY": "strict",
            "CONDARC": os.devnull,
            "HOME": str(self.folder),
        }
        verb, *asked = command.split()
        words = ["python", "-m", "conda", verb, "-p", str(prefix), "--dry-run", "--json", "--yes"]
        words += ["--solver", solver, "--override-channels"]
        for url in channels.values():
            words += ["-c", url]
        done = clients.run(*words, *asked, cwd=self.folder, env=variables)
        answer = json.loads(done.stdout[done.stdout.index("{") :])
        if "error" in answer:
            if answer["exception_name"] not in _REFUSALS:
                raise RuntimeError(f"{command}: {answer['error']}")
            raise SolveError(str(answer["error"]), where=command, next_step="none")
        state = self.state(environment, before)
        for gone in answer.get("actions", {}).get("UNLINK", ()):
            state.pop(gone["name"])
        named = {Path(url).name: name for name, url in channels.items()}
        for new in answer.get("actions", {}).get("LINK", ()):
            whose = named[new["channel"].rstrip("/").rpartition("/")[2]]
            state[new["name"]] = (new["version"], new["build_string"], whose)
        return state


def _name(spec: str) -> str:
    return re.split(r"[ =<>]", spec, maxsplit=1)[0]


def _lay(prefix: Path, records: Sequence[RepoDataRecord], specs: Sequence[str]) -> Path:
    """Make an environment that conda takes for one: records and a history, and no files."""
    meta = prefix / "conda-meta"
    meta.mkdir(parents=True, exist_ok=True)
    for old in meta.iterdir():
        old.unlink()
    lines = ["==> 2026-01-01 00:00:00 <==", "# cmd: conda create", "# conda version: 26.7.1"]
    for each in records:
        row = json.loads(each.to_json())
        stem = row["fn"].removesuffix(".conda")
        row |= {"files": [], "paths_data": {"paths": [], "paths_version": 1}, "requested_spec": ""}
        (meta / f"{stem}.json").write_text(json.dumps(row))
        lines.append(f"+{str(each.channel).rstrip('/')}/{each.subdir}::{stem}")
    lines.append(f"# update specs: {list(specs)!r}")
    (meta / "history").write_text("\n".join(lines) + "\n")
    return prefix


def run(world: World, solvers: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row's name, and what there `was` and what each solver made of it."""
    for name, environment in load().environments.items():
        before = world.before(environment)
        for command in environment.does:
            did = {"was": said(world.state(environment, before))}
            for solver in solvers:
                try:
                    if solver == OURS:
                        state = world.by_rattler(environment, before, command)
                    else:
                        state = world.by_conda(solver, environment, before, command)
                    did[solver] = said(state)
                except SolveError:
                    did[solver] = "refused"
            yield f"{name}: {command}", did


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
        rows = dict(run(make(Path(folder), project), (OURS, *CONDA)))
    versions = {"py-rattler": metadata.version("py-rattler"), **clients.versions()}
    write_text(TABLE, json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
