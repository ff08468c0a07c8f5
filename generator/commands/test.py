"""``armtorch test``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from generator import atomic
from generator.building import file_name
from generator.channel import LocalChannel
from generator.ci.verdicts import test_verdicts, verdicts_text
from generator.commands.job_options import chosen_variants, job_options
from generator.commands.options import (
    folder_option,
    json_option,
    many_option,
    refuse_no_channel,
    selection_options,
    summary_option,
    sysroot_option,
    verdict_option,
    virtual_option,
)
from generator.commands.tables import show_tests, tests_as_json, tests_as_markdown
from generator.errors import TestError
from generator.printing import write, write_json
from generator.project import Project
from generator.provider.github import write_summary
from generator.stages.test import RunOptions, run_tests


@click.command("test")
@click.argument("globs", nargs=-1, metavar="[GLOB]...")
@job_options
@selection_options
@folder_option("--channel", default="channel", help="The channel folder that has the packages.")
@many_option(
    "--base",
    help="Base channels instead of the feedstock's: names, URLs or folders.",
)
@virtual_option()
@sysroot_option
@verdict_option
@summary_option
@json_option
@click.pass_obj
def command(
    project: Project,
    /,
    *,
    globs: tuple[str, ...],
    job: str,
    skipped: tuple[str, ...],
    channel: Path,
    base: tuple[str, ...],
    virtual_packages: tuple[str, ...],
    sysroot: Path | None,
    verdict: Path | None,
    summary: Path | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Install each package into a fresh prefix and run the tests it carries.

    Natively where the machine is of that kind, else through qemu, which needs --sysroot where the
    machine has no C library of that kind; the report says which. Packages for macOS and Windows
    are installed elsewhere without running their programs.

    \b
    Examples:
      armtorch test '2.10/*python3.11*'
      armtorch test '2.10/pytorch/*' --base /srv/base-channel --sysroot /srv/arm64-libc
    """
    refuse_no_channel(base)
    chosen = chosen_variants(project, globs, job, skipped, **filters)
    options = RunOptions(
        channel=LocalChannel(channel), base=base, virtual_packages=virtual_packages, sysroot=sysroot
    )
    reports = run_tests(project, chosen, options)
    failed = [report for report in reports if not report.passed]
    write_summary(summary, tests_as_markdown(reports))
    if as_json:
        write_json({"passed": not failed, "packages": tests_as_json(reports)})
    else:
        show_tests(reports)
        write(f"{len(reports) - len(failed)} of {len(reports)} packages passed")
    if failed:
        if verdict is not None:
            cells = {
                file_name(variant, project.root): (variant.package, variant.cell)
                for variant in chosen
            }
            atomic.write_text(verdict, verdicts_text(test_verdicts(reports, cells)))
        sys.exit(TestError.exit_code)
