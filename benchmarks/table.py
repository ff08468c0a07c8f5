"""``python -m benchmarks table``: each ratio, its bar, and what the work has to cost at least.

Compared with what was committed before: a ratio that got worse by more than a fifth is exit code 1.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

RESULTS: Final = Path(__file__).with_name("results.json")
#: how much worse than before is an error
_WORSE: Final = 1.2
#: Pythons of the cell that is built
_PYTHONS: Final = 7


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table; what is taken from results.json."""

    what: str
    bar: float
    reached: Callable[[Any], float]
    limit: Callable[[Any], float]
    #: what the limit is
    least: str


def _publish(number: int, packages: str, bar: float) -> Row:
    return Row(
        what=f"publish one more of {packages} / full reindex, wall, beside writing repodata.json",
        bar=bar,
        reached=lambda d: d["publish"][number]["seconds_above_writing_over_full"],
        limit=lambda _: 0,
        least="nothing",
    )


def _cell(key: str, made: str, bytes_bar: float) -> tuple[Row, Row]:
    """What is said of a cell's packages at the level of zstd that they have, ``made`` so."""
    return (
        Row(
            what=f"bytes of a cell for {_PYTHONS} Pythons, {made} / bytes of its wheels",
            bar=bytes_bar,
            reached=lambda d: d[key]["bytes_over_wheels"],
            limit=lambda d: (
                d[key]["each_wheel_whole"]["package_bytes"]
                / _PYTHONS
                / d[key]["armtorch"]["wheel_bytes"]
            ),
            least="one Python's wheels, packaged at that level",
        ),
        Row(
            what=f"CPU to build it, {made} / to package each wheel whole at that level",
            bar=0.3,
            reached=lambda d: d[key]["cpu_over_whole"],
            limit=lambda _: 1 / _PYTHONS,
            least="packaging one Python's wheels",
        ),
    )


ROWS: Final = (
    Row(
        what="bytes that a first update reads / bytes of the wheels it locks",
        bar=0.015,
        reached=lambda d: d["update"]["ratio"],
        limit=lambda d: d["update"]["index_bytes"] / d["update"]["wheel_bytes"],
        least="the indexes' pages",
    ),
    _publish(0, "10,000", 0.15),
    _publish(1, "100,000", 0.05),
    Row(
        what="render with checks / render alone, CPU",
        bar=4,
        reached=lambda d: d["render"]["with_checks_over_render_cpu"],
        limit=lambda _: 1,
        least="rendering",
    ),
    *_cell("build", "by hand", 0.13),
    *_cell("published", "by CI", 0.115),
    Row(
        what="CPU to verify it / to read and hash each file",
        bar=1,
        reached=lambda d: d["build"]["verify"]["verify_over_read"],
        limit=lambda d: (
            d["build"]["verify"]["bare_stream_cpu_seconds"]
            / d["build"]["verify"]["read_and_hash_cpu_seconds"]
        ),
        least="hashing it as one stream",
    ),
)


def lines(now: Any, before: Any) -> tuple[list[str], list[str]]:
    """Return the table, and the rows that got worse by a fifth."""
    shown, bad = ["reached  before   bar      limit    what"], []
    for row in ROWS:
        reached, known = (_figure(row.reached, figures) for figures in (now, before))
        if reached is None:
            shown.append(f"{'-':<8} {known or '-':<8} {row.bar:<8.4g} {'-':<8} {row.what}")
            continue
        limit, known = row.limit(now), reached if known is None else known
        figures = (f"{value:<8.4g}" for value in (reached, known, row.bar, limit))
        shown.append(f"{' '.join(figures)} {row.what} (limit: {row.least})")
        if reached > row.bar:
            shown[-1] += ", beyond the bar"
        if reached > known * _WORSE:
            bad.append(f"{row.what}: {reached:.4g}, and {known:.4g} was committed")
    return shown, bad


def _figure(take: Callable[[Any], float], figures: Any) -> float | None:
    """Return a figure; None where it was not measured."""
    try:
        return take(figures)
    except (KeyError, IndexError, TypeError):
        return None


@click.command("table")
@click.option(
    "--results", type=click.Path(path_type=Path), default=RESULTS, help="Figures of this run."
)
def table(results: Path) -> None:
    """Show each ratio beside its bar and the least that it can be; fail where one got worse."""
    committed = subprocess.run(
        ["git", "show", f"HEAD:./{RESULTS.name}"],
        cwd=RESULTS.parent,
        capture_output=True,
        check=False,
    )
    before = json.loads(committed.stdout) if committed.returncode == 0 else {}
    shown, bad = lines(json.loads(results.read_text(encoding="utf-8")), before)
    click.echo("\n".join(shown))
    if bad:
        raise click.ClickException("; ".join(bad))
