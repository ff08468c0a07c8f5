"""Tables and sums that several subcommands end with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from generator.building import BuildReport, Savings
from generator.console import Narrator
from generator.model import Held
from generator.testing import PackageReport

#: columns from which a whole sha256 fits beside the other columns
_WIDE = 160
_MARKS = {"passed": "passed", "failed": "FAILED", "not run": "not run"}


def megabytes(amount: int) -> str:
    """Return bytes as people read them: ``146.0 MB``."""
    return f"{amount / 1e6:.1f} MB"


def show_held(narrator: Narrator, held: Iterable[tuple[str, Held]]) -> None:
    """Tell what is held back, each with its reason and what comes next."""
    for cell, row in held:
        narrator.warn(f"held back since {row.since}: {cell}: {row}\n  next: {row.next_step}")


def held_as_json(held: Iterable[tuple[str, Held]]) -> list[dict[str, str]]:
    """Return what is held back as plain data for ``--json``."""
    return [
        {"cell": cell, **{name: str(value or "") for name, value in asdict(row).items()}}
        for cell, row in held
    ]


def show_packages(report: BuildReport) -> None:
    """Print one line per package: name, size, sha256, seconds, what was done."""
    console = table_console()
    digits = 64 if console.width >= _WIDE else 12
    table = Table("package", "size", "sha256", "seconds", "", box=None, pad_edge=False)
    for column in (1, 3):
        table.columns[column].justify = "right"
    for row in report.rows:
        table.add_row(
            row.file_name or row.id,
            megabytes(row.size) if row.size else "",
            row.sha256[:digits],
            f"{row.seconds:.1f}" if row.status == "built" else "",
            row.status if row.floor is None else f"{row.status}, {row.floor}",
        )
    console.print(table)


def show_failures(report: BuildReport) -> None:
    """Print the error of every variant that was not built."""
    for row in report.failed:
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(f"{row.id}: {row.error}", err=True)


def show_savings(savings: Savings) -> None:
    """Print the packages' bytes against the wheels'."""
    # a selection without the per-Python packages stands for no set of wheels
    if savings.wheels > savings.packages:
        saved = savings.wheels - savings.packages
        table_console().print(
            f"\n{megabytes(savings.packages)} of packages stand for "
            f"{megabytes(savings.wheels)} of wheels: {megabytes(saved)} saved "
            f"({1 - savings.ratio:.0%})"
        )


def show_tests(reports: Iterable[PackageReport]) -> None:
    """Print one line per test step, and the output of what failed."""
    console = table_console()
    for report in reports:
        console.print(f"{report.package} ({report.how})", markup=False)
        for step in report.steps:
            console.print(
                f"  {_MARKS[step.outcome]:8} {step.name} ({step.seconds:.1f} s)", markup=False
            )
            if step.output:
                console.print(
                    "\n".join(f"    {line}" for line in step.output.splitlines()), markup=False
                )


def tests_as_json(reports: Iterable[PackageReport]) -> list[dict[str, object]]:
    """Return test reports for ``--json``."""
    return [
        {
            "package": report.package,
            "subdir": report.subdir,
            "how": report.how,
            "passed": report.passed,
            "steps": [
                {
                    "name": step.name,
                    "outcome": step.outcome,
                    "seconds": round(step.seconds, 2),
                    "output": step.output,
                }
                for step in report.steps
            ],
        }
        for report in reports
    ]


def table_console() -> Console:
    """Return a console for results: as wide as the terminal, or wide enough where there is none."""
    # a pipe or a log gets long lines instead of words broken at 80 columns
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)
