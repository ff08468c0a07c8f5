"""docs/month.md: what a month takes of GitHub, and what the replays of the workflows came to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from generator.atomic import write_text
from generator.ci.cost import monthly_cost
from generator.console import Silent
from generator.project import Project

HERE: Final = Path(__file__).parent
#: tests/conftest.py writes it (`noted`)
REPLAYS: Final = HERE / "replays.json"
PAGE: Final = HERE.parent / "docs" / "month.md"
_HEAD: Final = """\
# A month at GitHub
Written by `python -m benchmarks month`; not to be edited.

## By the plan
`armtorch ci plan --cost`, of the feedstock and its lock as they were committed with this page. The
rates are in generator/data/workflows.yaml, measured and inferred; no run at GitHub confirms them.
Caches only save time: one that is gone is made again.
"""
_REPLAYS: Final = """\
## By replay
What the workflows did by GitHub's rules (tests/runner_rules.yaml), on tiny wheels, as `make prove`
saw it (benchmarks/replays.json): packages that came to the channel, some of what a person is told,
jobs, minutes of theirs (each job's begun ones, of the processor), and bytes kept.

| replay | published | said | jobs | minutes | artifacts | caches | channel |
|---|--:|---|--:|--:|--:|--:|--:|"""


def page(cost: str, replays: dict[str, Any]) -> str:
    """Return docs/month.md."""
    rows = [
        f"| {name} | {row['published']} | {row['said']} | {row['jobs']} | {row['minutes']} | "
        f"{row['artifacts']:,} | {row['caches']:,} | {row['channel']:,} |"
        for name, row in sorted(replays.items())
    ]
    return "\n".join([_HEAD, cost, "", _REPLAYS, *rows, ""])


@click.command("month")
def month() -> None:
    """Write docs/month.md."""
    project = Project(feedstock=HERE.parent / "feedstock.yaml", narrator=Silent())
    replays = json.loads(REPLAYS.read_text(encoding="utf-8"))
    write_text(PAGE, page(monthly_cost(project).markdown(), replays))
