"""``python -m benchmarks backtest-build``: what building shows of the releases of the past.

Every package of a cell, for one Python, of the newest patch of each minor since torch 2.0: made
from the real wheels and audited. Gigabytes of wheels, an hour on two cores: it is run once, and
again for a minor that is named.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from benchmarks.backtest_report import RESULTS
from generator.building import Row
from generator.channel import LocalChannel
from generator.console import Silent
from generator.matrix import variants
from generator.model import Cell
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock

#: newest first: what people install
MINORS: Final = tuple(f"2.{minor}" for minor in range(15, -1, -1))
#: the Python that all of them have wheels for
PYTHON: Final = "3.11"
_FEEDSTOCK: Final = """\
channel: armtorch
maintainers: [armtorch]
indexes:
  pypi: {{kind: pip}}
trains:
  stable: {{keep: [], indexes: [pypi]}}
subdirs:
  linux-aarch64: {{accelerators: [cpu, cuda], base: [conda-forge]}}
  osx-arm64: {{accelerators: [cpu], base: [conda-forge]}}
pythons: ["{python}"]
packages: [torch, torchvision, torchaudio]
fill: [triton]
lines:
  - name: back
    torch: =={minor}.*
    subdirs: [linux-aarch64, osx-arm64]
    accelerators: [cpu, cuda]
    pythons: ["{python}"]
"""


def build_minor(minor: str) -> Iterator[dict[str, Any]]:
    """Build and audit the cells of a minor's newest patch; yield a row for each."""
    with tempfile.TemporaryDirectory(prefix="armtorch-backtest-") as name:
        feedstock = Path(name, "feedstock.yaml")
        feedstock.write_text(_FEEDSTOCK.format(minor=minor, python=PYTHON), encoding="utf-8")
        project = Project(feedstock=feedstock, narrator=Silent())
        lock = update_lock(project).lock
        render_feedstock(project)
        found = variants(project.declared(), lock)
        for cell in lock.cells:
            if cell.line != "back":
                continue
            own = [
                each
                for each in found
                if (each.line, each.subdir) == (cell.line, cell.subdir)
                and str(each.accelerator) == str(cell.accelerator)
            ]
            channel = LocalChannel(Path(name, cell.subdir, str(cell.accelerator)))
            report = build_variants(project, own, BuildOptions(channel=channel, jobs=2, level=1))
            yield _row(cell, report.rows)


def _row(cell: Cell, rows: tuple[Row, ...]) -> dict[str, Any]:
    failed = [f"{_package(row)}: {row.error.what}" for row in rows if row.error is not None]
    held = [str(each) for each in cell.held]
    return {
        "torch": cell.torch,
        "cell": f"{cell.subdir}/{cell.accelerator}",
        "python": PYTHON,
        "trio": dict(cell.versions),
        "built": sorted({_package(row) for row in rows if row.status == "built"}),
        "failed": sorted(failed),
        "held": held,
        "warnings": sum(len(row.warnings) for row in rows),
    }


def _package(row: Row) -> str:
    return row.id.split("/")[1]


@click.command("backtest-build")
@click.option("--minor", multiple=True, help="Only these; every one since 2.0 unless said.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def backtest_build(*, minor: tuple[str, ...], out: Path) -> None:
    """Build and audit one Python of the newest patch of each minor, from the real wheels."""
    for each in minor or MINORS:
        rows = list(build_minor(each))
        content = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
        others = [r for r in content.get("built", []) if not r["torch"].startswith(f"{each}.")]
        content["built"] = sorted(
            [*rows, *others],
            key=lambda r: (tuple(map(int, r["torch"].split("."))), r["cell"]),
        )
        out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        for row in rows:
            click.echo(f"torch {row['torch']} {row['cell']}: {len(row['built'])} built")
            for text in row["failed"]:
                click.echo(f"  {text[:500]}")
