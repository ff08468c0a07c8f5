"""The rows of solver_truth.yaml, and what no order of uploads may change, by conda's solvers.

``python -m tests.solver_clients CLIENTS`` writes solver_clients.json anew, CLIENTS being the folder
that `make clients` made.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rattler import Gateway

from generator.atomic import write_text
from generator.console import Silent
from generator.datafiles import subdirs
from generator.errors import SolveError
from generator.model import PythonBuild
from generator.project import Project
from generator.rendering import render, tree_records
from generator.testing import Machine, NamedRecord, solve, write_record_channel
from tests import clients, solver_truth
from tests.conda_solvers import SOLVERS, Conda, State, lay
from tests.forge import standins
from tests.forge.standins import Group

TABLE: Final = Path(__file__).with_name("solver_clients.json")
#: what a client did where it did what the row says
AS_SAID: Final = "as the row says"
REFUSED: Final = "refused"
TRIO: Final = ("pytorch", "torchvision", "torchaudio")
#: the Pythons whose builds came last to the channel, one at a time
LATER: Final = ("3.13t", "3.14", "3.14t", "3.15t")
#: requests without a Python, each on the machines named
REQUESTS: Final = {
    TRIO: ("server", "gpu-13.2", "mac"),
    ("pytorch",): ("server", "gpu-13.2", "mac"),
    ("torchvision",): ("server", "gpu-13.2", "mac"),
    ("torchaudio",): ("server", "gpu-13.2", "mac"),
    (*TRIO, "cpuonly"): ("server", "gpu-13.2"),
    ("python-freethreading", "pytorch"): ("server",),
}
_AT_ONCE: Final = 3
Did = str | dict[str, str]


def uploaded_last(later: str, records: Iterable[NamedRecord]) -> Iterator[NamedRecord]:
    """Date records as a published channel has them: those for one Python after all others."""
    python = PythonBuild.parse(later).python_abi_spec
    for name, record in records:
        date = 1_790_000_000_000 + (python in record["depends"])
        yield name, {**record, "timestamp": date}


@dataclass(frozen=True)
class World:
    """The channels: ours, ours with one Python's builds uploaded last, and conda-forge's."""

    ours: str
    later: dict[str, str]
    bases: dict[tuple[Group, ...], str]
    folder: Path

    def row(self, row: solver_truth.Row, table: solver_truth.Table, solver: str) -> Did:
        """What a solver of conda's makes of a row."""
        base, machine = self.bases[row.base], solver_truth.machine_of(row, table)
        channels = {"ours": self.ours, "base": base}
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            conda = Conda(solver, channels, machine, Path(folder), row.priority)
            before: State = {}
            prefix, verb = Path(folder, "prefix"), "create"
            if row.after:
                earlier = solver_truth.specs(row.after)
                records = solve(earlier, channels=[base], machine=machine, gateway=Gateway())
                lay(prefix, records, earlier)
                before = {
                    each.name.normalized: (str(each.version), str(each.build), "base")
                    for each in records
                }
                verb = "update" if " update " in row.command else "install"
            try:
                state = conda.plan(before, prefix, verb, *solver_truth.specs(row.command))
            except SolveError:
                return AS_SAID if row.refused else REFUSED
        found = {
            name: f"{state[name][2]} {state[name][0]} {state[name][1]}"
            for name in sorted({*row.gives, *TRIO} & state.keys())
        }
        if found.keys() == row.gives.keys() and all(
            fnmatch.fnmatchcase(found[name], build) for name, build in row.gives.items()
        ):
            return AS_SAID
        return {name: re.sub(r"h[0-9a-f]{7}", "h*", text) for name, text in found.items()}

    def python(self, later: str, asked: Sequence[str], on: str, solver: str) -> str:
        """The build of python_abi that a solver takes for a request without a Python."""
        subdir, *virtual = solver_truth.load().machines[on].split()
        machine = Machine.of(subdirs()[subdir], native=False, added=virtual)
        channels = {"ours": self.later[later], "base": self.bases["ahead", "pytorch"]}
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            conda = Conda(solver, channels, machine, Path(folder))
            return conda.plan({}, Path(folder, "prefix"), "create", *asked)["python_abi"][1]


def make(folder: Path, project: Project) -> World:
    """Write the channels into a folder."""
    records = list(tree_records(render(project.declared(), project.locked())).values())
    bases: set[tuple[Group, ...]] = {row.base for row in solver_truth.load().rows}
    return World(
        ours=write_record_channel(records, folder / "ours"),
        later={
            each: write_record_channel(uploaded_last(each, records), folder / f"later-{each}")
            for each in LATER
        },
        bases={
            each: standins.write(folder / ("-".join(each) or "plain"), groups=each)
            for each in bases
        },
        folder=folder,
    )


def run_rows(
    world: World, rows: Sequence[solver_truth.Row], solvers: Sequence[str] = SOLVERS
) -> dict[str, dict[str, Did]]:
    """What each solver makes of rows, by their names."""
    table = solver_truth.load()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = {
            row.name: {s: pool.submit(world.row, row, table, s) for s in solvers} for row in rows
        }
        return {name: {s: each.result() for s, each in did.items()} for name, did in asked.items()}


def run_later(
    world: World, later: Sequence[str], solvers: Sequence[str] = SOLVERS
) -> dict[str, dict[str, dict[str, str]]]:
    """What Python each solver takes, by whose builds came last and by request and machine."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = {
            last: {
                f"{on}: {' '.join(specs)}": {
                    s: pool.submit(world.python, last, specs, on, s) for s in solvers
                }
                for specs, machines in REQUESTS.items()
                for on in machines
            }
            for last in later
        }
        return {
            last: {k: {s: each.result() for s, each in v.items()} for k, v in rows.items()}
            for last, rows in asked.items()
        }


def main(named: str) -> None:
    """Write the table."""
    os.environ["ARMTORCH_CLIENTS"] = named
    project = Project(feedstock=TABLE.parent / "feedstock/feedstock.yaml", narrator=Silent())
    with tempfile.TemporaryDirectory(prefix="armtorch-solvers-") as folder:
        world = make(Path(folder), project)
        table = {
            "versions": clients.versions(),
            "rows": run_rows(world, solver_truth.load().rows),
            "later": run_later(world, LATER),
        }
    write_text(TABLE, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
