"""Tables and sums that several subcommands end with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from generator.building import BuildReport, Savings, place_of
from generator.console import Narrator
from generator.model import Held, Variant
from generator.printing import Screen, write, write_error, write_json
from generator.project import Project
from generator.rendering import workflow_settings
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


def show_chosen(chosen: Sequence[Variant], project: Project, *, as_json: bool) -> None:
    """Print the ids of what would be built, and tell what that fetches, takes and comes to.

    What Pythons share is packed once: packages come to about the wheels of one Python. The rate is
    that of `ci plan --cost`, which data/workflows.yaml says where it is from.
    """
    wheels = {wheel.sha256: wheel for variant in chosen for wheel in variant.wheels}
    missing = [w for w in wheels.values() if not place_of(w, project.wheelhouse).is_file()]
    one: dict[tuple[object, ...], int] = {}
    for variant in chosen:
        for wheel in variant.wheels:
            key = (variant.line, variant.subdir, variant.accelerator, wheel.project)
            one[key] = max(one.get(key, 0), wheel.size)
    whole, fetched = (sum(w.size for w in some) for some in (wheels.values(), missing))
    packed = sum(one.values())
    minutes = math.ceil(whole / workflow_settings().costs.bytes_per_minute)
    ids = [variant.id for variant in chosen]
    if as_json:
        write_json(
            {
                "variants": ids,
                "wheel_bytes": whole,
                "fetch_bytes": fetched,
                "package_bytes": packed,
                "minutes": minutes,
            }
        )
    else:
        write("\n".join(ids))
    project.narrator.say(
        f"{len(ids)} packages of {len(wheels)} wheels: {megabytes(fetched)} to fetch of "
        f"{megabytes(whole)}, about {megabytes(packed)} of packages and {minutes} min, tests not "
        "counted; nothing was fetched or built"
    )


def show_packages(report: BuildReport) -> None:
    """Print one line per package: name, size, sha256, seconds, what was done."""
    screen = Screen()
    digits = 64 if screen.width >= _WIDE else 12
    screen.table(
        ["package", "size", "sha256", "seconds", ""],
        [
            [
                row.file_name or row.id,
                megabytes(row.size) if row.size else "",
                row.sha256[:digits],
                f"{row.seconds:.1f}" if row.status == "built" else "",
                row.status if row.floor is None else f"{row.status}, {row.floor}",
            ]
            for row in report.rows
        ],
        right=[1, 3],
    )


def show_failures(report: BuildReport) -> None:
    """Print the error of every variant that was not built."""
    for row in report.failed:
        write_error(f"{row.id}: {row.error}")


def show_savings(savings: Savings) -> None:
    """Print the packages' bytes against the wheels'."""
    # a selection without the per-Python packages stands for no set of wheels
    if savings.wheels > savings.packages:
        saved = savings.wheels - savings.packages
        Screen().print(
            f"\n{megabytes(savings.packages)} of packages stand for "
            f"{megabytes(savings.wheels)} of wheels: {megabytes(saved)} saved "
            f"({1 - savings.ratio:.0%})"
        )


def show_tests(reports: Iterable[PackageReport]) -> None:
    """Print one line per test step, and the output of what failed."""
    screen = Screen()
    for report in reports:
        screen.print(f"{report.package} ({report.how})")
        for step in report.steps:
            screen.print(f"  {_MARKS[step.outcome]:8} {step.name} ({step.seconds:.1f} s)")
            if step.output:
                screen.print("\n".join(f"    {line}" for line in step.output.splitlines()))


def tests_as_markdown(reports: Sequence[PackageReport]) -> str:
    """Return a job's summary: what passed, and how it was run; installed is not yet run."""
    lines = ["| package | | how |", "|---|---|---|"]
    lines += [
        f"| `{report.package}` | {'passed' if report.passed else 'failed'} | {report.how} |"
        for report in reports
    ]
    return "\n".join(lines)


def tests_as_json(reports: Iterable[PackageReport]) -> list[dict[str, object]]:
    """Return test reports for ``--json``."""
    return [{**asdict(report), "passed": report.passed} for report in reports]
