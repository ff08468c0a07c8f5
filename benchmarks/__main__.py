"""``python -m benchmarks``: every figure in one run, into one JSON file."""

from __future__ import annotations

import json
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from benchmarks.backtest import backtest
from benchmarks.backtest_build import backtest_build
from benchmarks.backtest_report import backtest_table
from benchmarks.measuring import run_module
from benchmarks.month import month
from benchmarks.table import table

_KINDS = (
    "update",
    "render",
    "build",
    "published",
    "levels",
    "publish",
    "page",
    "copies",
    "compared",
    "explain",
    "forged",
)


@click.group(invoke_without_command=True)
@click.option("--feedstock", default="feedstock.yaml", show_default=True)
@click.option("--line", default="2.10", show_default=True, help="The cell that is built.")
@click.option("--subdir", default="linux-aarch64", show_default=True)
@click.option("--accelerator", default="cpu", show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("benchmarks/results.json"),
    show_default=True,
)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(_KINDS),
)
@click.pass_context
def main(
    context: click.Context,
    feedstock: str,
    line: str,
    subdir: str,
    accelerator: str,
    out: Path,
    only: tuple[str, ...],
) -> None:
    """Measure what the README and docs/benchmarks.md name; the targets are in design notes there.

    Downloads the wheels of one cell (1 GB for the default) where the cache does not have them.
    """
    if context.invoked_subcommand is not None:
        return
    found: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    found["machine"] = {
        "system": platform.platform(terse=True),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "py-rattler-build": version("py-rattler-build"),
    }
    wanted = only or _KINDS
    if "update" in wanted:
        cost, figures = run_module("benchmarks.update_bytes", feedstock)
        figures["ratio"] = round(figures["bytes_read"] / figures["wheel_bytes"], 5)
        found["update"] = {**figures, **cost.to_json()}
    if "render" in wanted:
        cost, figures = run_module("benchmarks.render_many", feedstock, "300", "plain")
        checked_cost, checked = run_module("benchmarks.render_many", feedstock, "300", "checked")
        found["render"] = {
            **figures,
            "peak_mib": round(cost.peak_mib),
            "with_checks_seconds": checked["with_checks_seconds"],
            "with_checks_over_render_cpu": checked["with_checks_over_render_cpu"],
            "with_checks_peak_mib": round(checked_cost.peak_mib),
        }
    if "publish" in wanted:
        found["publish"] = [
            run_module("benchmarks.publish_one", number)[1] for number in ("10000", "100000")
        ]
    if "build" in wanted:
        found["build"] = _build(feedstock, line, subdir, accelerator, "9")
    if "published" in wanted:
        found["published"] = _build(feedstock, line, subdir, accelerator, "19")
    for kind, words in {
        "page": ("page_large", feedstock, "200000"),
        "explain": ("explain_large", feedstock),
        "levels": ("levels", feedstock, line, subdir, accelerator),
        "forged": ("forged_packages", "5000"),
        "copies": ("mapped_copies", feedstock),
        "compared": ("compared", feedstock),
    }.items():
        if kind in wanted:
            _, found[kind] = run_module(f"benchmarks.{words[0]}", *words[1:])
    out.write_text(json.dumps(found, indent=2) + "\n")
    click.echo(json.dumps(found, indent=2))


def _build(*cell: str) -> dict[str, Any]:
    feedstock, line, subdir, accelerator, level = cell
    with tempfile.TemporaryDirectory(prefix="armtorch-benchmark-") as folder:
        # downloads are no part of it
        run_module("benchmarks.fetch_cell", feedstock, line, subdir, accelerator)
        ours, built = run_module(
            "benchmarks.build_cell", feedstock, line, subdir, accelerator, f"{folder}/split", level
        )
        _, verified = run_module("benchmarks.verify_cell", feedstock, f"{folder}/split")
        theirs, whole = run_module(
            "benchmarks.build_whole", feedstock, line, subdir, accelerator, f"{folder}/whole", level
        )
    cpu = ours.cpu_seconds + built["workers_cpu_seconds"]
    return {
        "cell": f"{line}/{subdir}/{accelerator}",
        "level": int(level),
        "armtorch": {**built, **ours.to_json(), "cpu_seconds": round(cpu, 2)},
        "each_wheel_whole": {**whole, **theirs.to_json()},
        "verify": verified,
        "bytes_over_wheels": round(built["package_bytes"] / built["wheel_bytes"], 4),
        "bytes_over_whole": round(built["package_bytes"] / whole["package_bytes"], 4),
        "cpu_over_whole": round(cpu / theirs.cpu_seconds, 3),
        "wall_over_whole": round(ours.wall_seconds / theirs.wall_seconds, 3),
    }


main.add_command(backtest)
main.add_command(backtest_table)
main.add_command(backtest_build)
main.add_command(month)
main.add_command(table)

if __name__ == "__main__":
    main()
