"""Cases of `armtorch explain` as data; ``python -m tests.explain_cases`` writes what it says now.

To be run after the lock, the recorded channels or the words changed, and its diff to be read: each
line of it is something a person will be told otherwise.
"""

from __future__ import annotations

import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from generator.atomic import write_text
from generator.console import Silent
from generator.explaining import Explanation, Finding, lines_of
from generator.explaining.answering import ExplainOptions, Reach, explain_request
from generator.project import Project
from tests import computers, recorded
from tests.own_feedstock import DECLARED

PATH = Path(__file__).with_suffix(".yaml")
#: what a case asks; all other keys are what it expects
_ASKED = ("name", "computer", "command", "subdir", "virtual", "python", "defaults")


def load() -> list[dict[str, Any]]:
    """Return all cases."""
    rows: list[dict[str, Any]] = YAML(typ="safe").load(PATH)
    return rows


def explained(case: dict[str, Any], project: Project, alias: str, folder: Path) -> Explanation:
    """Explain what a case asks; ``folder`` takes the files of its computer."""
    reach = Reach(alias=alias)
    if "computer" in case:
        tree = computers.write(case["computer"], folder)
        reach = replace(reach, root=tree.root, system=tree.system)
        project = replace(project, environment=tree.environment)
    options = ExplainOptions(
        subdir=case.get("subdir"),
        virtual=tuple(case.get("virtual", ())),
        python=case.get("python"),
        default_channels=tuple(case.get("defaults", ())),
        reach=reach,
    )
    return explain_request(project, case["command"], options)


def expectation(found: Explanation) -> dict[str, Any]:
    """Return an explanation as a case has it."""
    commands = [each.command for each in found.commands]
    installs = [f"{each.name} {each.version}" for each in found.installs]
    row = {
        "outcome": found.outcome,
        "causes": [_cause(each) for each in found.findings],
        "suggests": commands[0] if commands else "",
        "or": commands[1:],
        "installs": installs if found.outcome == "works" else [],
        "warns": [notice.id for notice in found.warnings],
        "says": lines_of(found)[0],
    }
    return {key: value for key, value in row.items() if value}


def asked(case: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a case that asks."""
    return {key: case[key] for key in _ASKED if key in case}


def _cause(finding: Finding) -> str:
    between = " on " if finding.package and finding.channel else ""
    return f"{finding.cause} {finding.package}{between}{finding.channel}"


def main() -> None:
    yaml = YAML()
    yaml.width, yaml.default_flow_style = 110, False
    head = "".join(
        line for line in PATH.read_text().splitlines(keepends=True) if line.startswith("#")
    )
    rows = []
    with tempfile.TemporaryDirectory(prefix="armtorch-cases-") as name:
        folder = Path(name)
        project = Project(feedstock=DECLARED, narrator=Silent(), cache=folder / "cache")
        alias = recorded.write(project, folder / "channels").alias
        for number, case in enumerate(load()):
            found = explained(case, project, alias, folder / str(number))
            row = {**asked(case), **expectation(found)}
            if "\n" in row["command"]:
                row["command"] = LiteralScalarString(row["command"])
            rows.append(row)
    stream = io.StringIO()
    yaml.dump(rows, stream)
    write_text(PATH, head + stream.getvalue())


if __name__ == "__main__":
    main()
