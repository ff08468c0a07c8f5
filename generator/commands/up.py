"""``armtorch up``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from generator.channel import LocalChannel
from generator.commands.options import (
    folder_option,
    indexes_option,
    json_option,
    many_option,
    refuse_no_channel,
    selection,
    selection_options,
    sysroot_option,
    virtual_option,
)
from generator.commands.tables import (
    show_chosen,
    show_failures,
    show_packages,
    show_savings,
    show_tests,
    tests_as_json,
)
from generator.errors import BuildError, TestError
from generator.printing import write, write_json
from generator.project import Project
from generator.stages.build import BuildOptions, savings
from generator.stages.test import RunOptions
from generator.stages.up import UpResult, plan, up


@click.command("up")
@selection_options
@click.option("--torch", metavar="VERSION", help="This torch or minor (2.10), not the newest.")
@folder_option("--out", default="channel", help="The channel folder.")
@many_option(
    "--base",
    help="Base channels instead of the feedstock's, to install and test against.",
)
@sysroot_option
@virtual_option()
@click.option(
    "--jobs", type=click.IntRange(1), default=2, show_default=True, help="Variants at once."
)
@click.option("--level", type=click.IntRange(1, 22), help="zstd level instead of the feedstock's.")
@click.option(
    "--must-test", is_flag=True, help="Exit code 23 where anything was not installed and run."
)
@click.option("--dry-run", is_flag=True, help="List what would be built and stop.")
@click.option("--offline", is_flag=True, help="Ask no index for what the lock lacks.")
@indexes_option
@json_option
@click.pass_obj
def command(
    project: Project,
    /,
    *,
    torch: str | None,
    out: Path,
    base: tuple[str, ...],
    sysroot: Path | None,
    virtual_packages: tuple[str, ...],
    jobs: int,
    level: int | None,
    must_test: bool,
    dry_run: bool,
    offline: bool,
    indexes: tuple[str, ...],
    as_json: bool,
    **filters: Any,
) -> None:
    """The whole line: build what the lock has, test it, and say how to install from it.

    Takes the lock's newest torch of every wanted subdir and accelerator. What the lock lacks is
    looked up, into a lock of the run's own below .armtorch/; no committed file is written. To take
    what upstream has released since: armtorch update, then armtorch render. A second run finds
    nothing to do and takes seconds.

    \b
    Examples:
      armtorch up
      armtorch up --subdir linux-aarch64 --accelerator cpu --python 3.11,3.12
      armtorch up --subdir osx-arm64 --torch 2.15 --out /srv/channel
      armtorch up --accelerator cuda --dry-run
    """
    channel = LocalChannel(out)
    refuse_no_channel(base, channel.url)  # before any network
    found = plan(project, selection((), **filters), torch, offline=offline, only=indexes)
    if dry_run:
        show_chosen(found.chosen, found.project, as_json=as_json)
        return
    result = up(
        found,
        build=BuildOptions(channel=channel, jobs=jobs, level=level),
        run=RunOptions(
            channel=channel,
            base=base,
            virtual_packages=virtual_packages,
            sysroot=sysroot,
            must_run=False,
        ),
    )
    if as_json:
        write_json(_as_json(result, channel))
    else:
        _show(result, channel)
    for finding in result.findings:
        project.narrator.warn(str(finding))
    if result.report.failed:
        error = result.report.failed[0].error
        sys.exit(error.exit_code if error is not None else BuildError.exit_code)
    if any(not report.passed for report in result.tests) or (must_test and result.untested):
        sys.exit(TestError.exit_code)


def _show(result: UpResult, channel: LocalChannel) -> None:
    show_tests(report for report in result.tests if not report.passed)
    show_packages(result.report)
    show_savings(savings(result.chosen, result.report))
    for title, lines in (("verified", result.verified), ("not verified", result.unverified)):
        if lines:
            write(f"\n{title}:")
            for line in lines:
                write(f"  {line}")
    show_failures(result.report)
    failed = result.report.failed or any(not report.passed for report in result.tests)
    if not failed and (line := _install_command(result, channel)):
        write(f"\n{line}")


def _install_command(result: UpResult, channel: LocalChannel) -> str:
    """Return the command to install from the channel, "" where it lacks what that needs."""
    there = {variant.package for variant in result.chosen}
    names: list[str] = [name for name in ("pytorch", "torchvision", "torchaudio") if name in there]
    accelerators = {str(v.accelerator) for v in result.chosen if v.package == "pytorch"}
    if accelerators == {"cpu"} and "cpuonly" in there:
        names.append("cpuonly")
    if "pytorch" not in names or "libtorch" not in there:
        return ""  # a part of the packages: others of them come from elsewhere
    own = [channel.labelled(label).url for label in reversed(result.labels)]
    channels = " ".join(f"-c {name}" for name in dict.fromkeys((*own, channel.url, *result.base)))
    return f"conda install {' '.join(names)} {channels}"


def _as_json(result: UpResult, channel: LocalChannel) -> dict[str, object]:
    return {
        **result.report.to_json(),
        "channel": channel.url,
        "tests": tests_as_json(result.tests),
        "verified": list(result.verified),
        "not_verified": list(result.unverified),
        "install": _install_command(result, channel),
    }
