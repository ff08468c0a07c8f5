"""``armtorch build``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from generator import atomic
from generator.channel import LocalChannel
from generator.ci.verdicts import build_verdicts, verdicts_text
from generator.commands.job_options import chosen_variants, job_options
from generator.commands.options import (
    folder_option,
    json_option,
    provenance_option,
    selection_options,
    verdict_option,
)
from generator.commands.tables import show_chosen, show_failures, show_packages, show_savings
from generator.errors import BuildError
from generator.printing import write_json
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants, savings


@click.command("build")
@click.argument("globs", nargs=-1, metavar="[GLOB]...")
@job_options
@selection_options
@folder_option("--out", default="channel", help="The channel folder.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Variants at once; each takes one to two cores and up to 500 MiB.",
)
@click.option(
    "--level",
    type=click.IntRange(1, 22),
    help="zstd level instead of the feedstock's, which is another one for releases in a CI's job.",
)
@provenance_option("State the repository, and the commit that brought a package's inputs (CEP 31).")
@click.option("--force", is_flag=True, help="Build and replace what the channel has.")
@click.option("--dry-run", is_flag=True, help="List what would be built and stop.")
@verdict_option
@json_option
@click.pass_obj
def command(
    project: Project,
    /,
    *,
    globs: tuple[str, ...],
    job: str,
    skipped: tuple[str, ...],
    out: Path,
    jobs: int,
    level: int | None,
    provenance: str,
    force: bool,
    dry_run: bool,
    verdict: Path | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Build packages into a channel folder.

    Without globs or options every variant is built; see `armtorch matrix --ids`. Wheels are
    fetched into a cache that all feedstocks share. What the channel has from the same inputs is
    skipped, so an interrupted run goes on where it stopped. With --provenance, what states
    another commit is built again; that needs the whole history of the repository, and the same
    inputs give the same bytes at every later commit.

    \b
    Examples:
      armtorch build '2.10/*'
      armtorch build '2.10/pytorch/*python3.12*'
      armtorch build '2.10/*' --provenance https://github.com/me/armtorch
      armtorch build --subdir osx-arm64 --python 3.12,3.14t --out /srv/channel
    """
    chosen = chosen_variants(project, globs, job, skipped, **filters)
    if dry_run:
        show_chosen(chosen, project, as_json=as_json)
        return
    channel = LocalChannel(out)
    options = BuildOptions(
        channel=channel,
        jobs=jobs,
        level=level,
        published=bool(job),
        force=force,
        provenance=provenance,
    )
    report = build_variants(project, chosen, options)
    if as_json:
        write_json({**report.to_json(), "channel": channel.url})
    else:
        show_packages(report)
        show_savings(savings(chosen, report))
        show_failures(report)
    if report.failed:
        if verdict is not None:
            cells = {variant.id: variant.cell for variant in chosen}
            atomic.write_text(verdict, verdicts_text(build_verdicts(report, cells)))
        error = report.failed[0].error
        sys.exit(error.exit_code if error is not None else BuildError.exit_code)
