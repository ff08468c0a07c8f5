"""What conda's solvers make of a command in an environment of records without files.

conda is a program of `make clients` (tests/clients.py), run dry: it reads the channels' records and
the environment's, and says what it would link and unlink.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rattler import RepoDataRecord

from generator.errors import SolveError
from generator.testing import Machine, Priority
from tests import clients

#: conda's name of each solver that is asked
SOLVERS: Final = ("classic", "libmamba", "rattler")
#: what conda takes virtual packages from
_OVERRIDES: Final = {"__cuda": "CUDA", "__glibc": "GLIBC", "__osx": "OSX"}
#: what conda raises where there is no solution
_REFUSALS: Final = {
    "UnsatisfiableError",
    "PackagesNotFoundError",
    "LibMambaUnsatisfiableError",
    "RattlerUnsatisfiableError",
    "SpecsConfigurationConflictError",
    "PackagesNotFoundInChannelsError",
}
#: name -> version, build and channel
State = dict[str, tuple[str, str, str]]


def installed() -> tuple[str, ...]:
    """The solvers that the clients' environment has: libmamba is optional there."""
    found = clients.versions()
    return tuple(each for each in SOLVERS if each != "libmamba" or "libmambapy" in found)


@dataclass(frozen=True)
class Conda:
    """One solver, what it sees, and where environments are laid.

    Attributes:
        channels: name -> address, the first before the others.
    """

    solver: str
    channels: Mapping[str, str]
    machine: Machine
    folder: Path
    priority: Priority = "strict"

    def plan(self, before: State, prefix: Path, verb: str, *asked: str) -> State:
        """Return what there would be; raises SolveError where conda finds no solution."""
        done = self._run(prefix, verb, *asked, "--json")
        answer = json.loads(done[done.index("{") :])
        if "error" in answer:
            if answer["exception_name"] not in _REFUSALS:
                raise RuntimeError(f"{asked}: {answer['error']}")
            raise SolveError(str(answer["error"]), where=" ".join(asked), next_step="none")
        actions: dict[str, Any] = answer.get("actions", {})
        state = dict(before)
        for gone in actions.get("UNLINK", ()):
            state.pop(gone["name"])
        named = {Path(url).name: name for name, url in self.channels.items()}
        for new in actions.get("LINK", ()):
            whose = named[new["channel"].rstrip("/").rpartition("/")[2]]
            state[new["name"]] = (new["version"], new["build_string"], whose)
        return state

    def says(self, prefix: Path, verb: str, *asked: str) -> dict[str, str]:
        """Return what conda tells a person of each package that changes: under which words."""
        told: dict[str, str] = {}
        under = ""
        for line in self._run(prefix, verb, *asked).splitlines():
            if found := re.match(r"The following .*?([A-Z]{4,})", line):
                under = found[1]
            elif under and (found := re.match(r"  (\S+) +(\S.*-->.*)", line)):
                told[found[1]] = f"{under}: {found[2].strip()}"
        return told

    def _run(self, prefix: Path, verb: str, *asked: str) -> str:
        found = dict(text.split("=")[:2] for text in self.machine.virtual_packages if "=" in text)
        variables = {
            f"CONDA_OVERRIDE_{name}": found.get(package, "") for package, name in _OVERRIDES.items()
        }
        variables |= {
            "CONDA_SUBDIR": self.machine.subdir,
            "CONDA_PKGS_DIRS": str(self.folder / "packages"),
            "CONDA_CHANNEL_PRIORITY": self.priority,
            "CONDARC": os.devnull,
            "HOME": str(self.folder),
        }
        words = ["python", "-m", "conda", verb, "-p", str(prefix), "--dry-run", "--yes"]
        words += ["--solver", self.solver, "--override-channels"]
        for url in self.channels.values():
            words += ["-c", url]
        return clients.run(*words, *asked, cwd=self.folder, env=variables).stdout


def lay(prefix: Path, records: Sequence[RepoDataRecord], specs: Sequence[str]) -> Path:
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
