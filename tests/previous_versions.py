"""The population of previous-versions lines: ``python -m tests.previous_versions OUT.json``.

Every line is explained on the recorded channels, and what it is told is solved anew from the words
of the command alone. OUT.json has each line, the command and whether the relaxed request solves,
for another solver to look at (tests/with_conda.py does so with conda's classic one).
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from rattler import Gateway
from ruamel.yaml import YAML

from generator.console import Silent
from generator.errors import SolveError
from generator.explaining import common_virtual_packages, name_of, read_request
from generator.explaining.answering import ExplainOptions, Reach, explain_request
from generator.project import Project
from generator.testing import Machine, solve
from tests import recorded


@dataclass(frozen=True)
class Line:
    """One line of the page, on one machine, with one installation's own channel."""

    command: str
    subdir: str
    defaults: str


def population() -> list[Line]:
    """Return all combinations, in the order of the table."""
    table = YAML(typ="safe").load(Path(__file__).with_suffix(".yaml"))
    found = []
    for trio, switch, python, defaults, subdir in product(
        table["trios"], table["switches"], table["pythons"], table["defaults"], table["subdirs"]
    ):
        names = zip(("pytorch", "torchvision", "torchaudio"), trio, strict=True)
        specs = [*([python] if python else []), *(f"{n}=={v}" for n, v in names)]
        verb = "create -n old" if python else "install"
        command = f"conda {verb} {' '.join(specs)} {switch}"
        found.append(Line(command=command, subdir=subdir, defaults=defaults))
    return found


def solves(command: str, line: Line, alias: str, gateway: Gateway) -> bool:
    """Solve a command from its words, with nothing of the search, its cache or its settings."""
    request = read_request(command, folder=Path())
    if not request.override:
        request = replace(request, defaults=(line.defaults,))
    virtual = {text.partition("=")[0]: text for text in common_virtual_packages(line.subdir)}
    virtual |= {text.partition("=")[0]: text for text in request.overrides}
    machine = Machine(subdir=line.subdir, virtual_packages=tuple(virtual.values()))
    for priority in ("strict", "disabled"):
        try:
            solve(
                request.specs,
                channels=[f"{alias}/{name}" for name in request.searched],
                machine=machine,
                priority=priority,
                gateway=gateway,
            )
        except SolveError:
            continue
        return True
    return False


def relaxed(line: Line) -> str:
    """Return the names alone, without switches, with every channel there is."""
    request = read_request(line.command, folder=Path())
    names = [name for name in map(name_of, request.specs) if name in _KEPT]
    return f"conda create -n x {shlex.join(names)} -c armtorch -c pytorch -c conda-forge"


_KEPT = {"python", "pytorch", "torchvision", "torchaudio"}


def main(out: str, feedstock: str = "feedstock.yaml") -> None:
    rows = []
    with tempfile.TemporaryDirectory(prefix="armtorch-lines-") as name:
        folder = Path(name)
        project = Project(feedstock=Path(feedstock), narrator=Silent(), cache=folder / "cache")
        alias = recorded.write(project, folder / "channels").alias
        gateway = Gateway(folder / "plain")
        for line in population():
            options = ExplainOptions(
                subdir=line.subdir, default_channels=(line.defaults,), reach=Reach(alias=alias)
            )
            found = explain_request(project, line.command, options)
            given = line.command if found.outcome == "works" else ""
            given = given or (found.commands[0].command if found.commands else "")
            rows.append(
                {
                    "line": line.command,
                    "subdir": line.subdir,
                    "defaults": line.defaults,
                    "works": found.outcome == "works",
                    "given": given,
                    "solves": bool(given) and solves(given, line, alias, gateway),
                    "relaxed_solves": solves(relaxed(line), line, alias, gateway),
                }
            )
    Path(out).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(
        json.dumps(
            {
                "lines": len(rows),
                "relaxed_solves": sum(row["relaxed_solves"] for row in rows),
                "given": sum(bool(row["given"]) for row in rows),
                "given_and_solved_anew": sum(row["solves"] for row in rows),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
