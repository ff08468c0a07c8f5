"""``armtorch ci``: what the rendered workflows call that a person seldom needs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from generator import atomic
from generator.ci import jobs
from generator.ci.cost import monthly_cost
from generator.ci.holding import keep_good
from generator.ci.proposing import back_to, propose
from generator.ci.tested import test_result
from generator.ci.tried import marked
from generator.commands import ci_hub
from generator.commands.job_options import job_options
from generator.commands.options import (
    NamedPath,
    folder_option,
    json_option,
    output_option,
    summary_option,
    virtual_option,
)
from generator.printing import write, write_json
from generator.project import Project
from generator.provider.github import write_outputs, write_summary
from generator.provider.gitlab import gitlab_of

_FILE = NamedPath(path_type=Path, dir_okay=False)
_TRAIN = click.option("--train", default="", help="Only this train; empty for all.")
_CELLS = click.option(
    "--cells",
    default="",
    metavar="'LINE/SUBDIR/ACCELERATOR ...'",
    help="Only these cells; empty for all.",
)

_PIPELINE = click.option(
    "--pipeline", type=_FILE, help="Write the jobs here, as a pipeline that GitLab starts."
)
_AGAINST_BASE = click.option(
    "--against-base", "solved", is_flag=True, help="Leave out what the base channels block now."
)


@click.group("ci")
def command() -> None:
    """Plan, join and merge what jobs of a CI do; the rendered workflows call this.

    \b
    Examples:
      armtorch ci plan
      armtorch ci plan --train nightly --sample true --json
      armtorch ci join --channel channel
    """


@command.command("plan")
@_TRAIN
@_CELLS
@click.option("--sample", type=bool, default=False, help="One Python per cell: true or false.")
@_AGAINST_BASE
@virtual_option(
    help="For --against-base: a virtual package instead of a common machine's.",
    envvar="ARMTORCH_VIRTUAL",
)
@click.option("--cost", is_flag=True, help="Say instead what a month takes of GitHub.")
@_PIPELINE
@output_option
@summary_option
@json_option
@click.pass_obj
def plan(
    project: Project,
    *,
    train: str,
    cells: str,
    sample: bool,
    solved: bool,
    virtual_packages: tuple[str, ...],
    cost: bool,
    pipeline: Path | None,
    output: Path | None,
    summary: Path | None,
    as_json: bool,
) -> None:
    """List the jobs that build and test everything, as a matrix of GitHub's.

    The first round is what several Pythons need, the second one some Pythons of a cell a job.
    `armtorch build --job NAME` and `armtorch test --job NAME` do one.

    \b
    Examples:
      armtorch ci plan
      armtorch ci plan --train nightly --json
      armtorch ci plan --cost
    """
    if cost:
        month = monthly_cost(project)
        if as_json:
            write_json({**asdict(month), "minutes": month.minutes, "billed": month.billed})
        else:
            write(month.markdown())
        return
    machine = virtual_packages if solved else None
    made = jobs.plan(
        project, train=train, cells=cells.split() or None, sample=sample, machine=machine
    )
    rounds = {
        "shared": made.rows(made.jobs.shared),
        "variants": made.rows(made.jobs.variants),
    }
    if pipeline is not None:
        atomic.write_text(pipeline, made.pipeline(project.declared()))
    write_outputs(output, {name: json.dumps(rows) for name, rows in rounds.items()})
    write_summary(summary, made.markdown())
    if as_json:
        write_json({**rounds, "blocked": made.blocked})
    elif output is None:
        for job in made.jobs.all:
            write(f"{job.name}: {len(job.variants)} packages")
        for variant, reason in made.blocked.items():
            write(f"blocked: {variant}: {reason}")


@command.command("join")
@folder_option("--channel", default="channel", help="The folder that artifacts were unpacked into.")
@folder_option("--made", multiple=True, help="A folder whose packages are put beside those.")
@folder_option(
    "--set-aside",
    "aside",
    metavar="FOLDER",
    help="Move packages there that are none of the lock's, instead of refusing all for them.",
)
@click.option("--tested", type=_FILE, help="Write here what their tests came to, to be attested.")
@_TRAIN
@_CELLS
@job_options
@summary_option
@json_option
@click.pass_obj
def join(
    project: Project,
    *,
    channel: Path,
    made: tuple[Path, ...],
    aside: Path | None,
    tested: Path | None,
    train: str,
    cells: str,
    job: str,
    skipped: tuple[str, ...],
    summary: Path | None,
    as_json: bool,
) -> None:
    """Index a channel put together from jobs, and name the packages that no job gave.

    A package that is none of the lock's is refused (exit code 13), or set aside.

    \b
    Examples:
      armtorch ci join --channel channel
      armtorch ci join --job 2.10-linux-aarch64-cpu-1 --made made
    """
    wanted = jobs.job_variants(project, job, skipped) if job else None
    found = jobs.join(
        project,
        channel,
        train=train,
        cells=cells.split() or None,
        made=made,
        wanted=wanted,
        aside=aside,
    )
    if tested is not None:
        atomic.write_text(tested, json.dumps(test_result(project, found.there), indent=1))
    write_summary(summary, found.markdown())
    if as_json:
        write_json(asdict(found))
    else:
        write(found.markdown())


@command.command("hold")
@folder_option("--channel", default="channel", help="The folder with the packages that were tried.")
@folder_option(
    "--verdicts", default="verdicts", help="The folder with what failed jobs left behind."
)
@click.option(
    "--before", default="HEAD^", show_default=True, help="The git revision before the release."
)
@click.option("--text", type=_FILE, help="Write the pull request's text here.")
@click.option("--made", default="", metavar="DIGEST", help="What `ci look` said it is made of.")
@click.option("--propose", "proposed", is_flag=True, help="Push what is left of it: ci propose.")
@output_option
@summary_option
@json_option
@click.pass_obj
def hold(
    project: Project,
    *,
    channel: Path,
    verdicts: Path,
    before: str,
    text: Path | None,
    made: str,
    proposed: bool,
    output: Path | None,
    summary: Path | None,
    as_json: bool,
) -> None:
    """Put the cells of a release that failed back to what was good, and keep the rest of it.

    HEAD is the revision before it then, and what is kept in no commit.

    \b
    Examples:
      armtorch ci hold --channel channel --verdicts verdicts --before HEAD^
    """
    found = keep_good(project, channel, verdicts, before=before)
    said = found.announcement
    if found.failed and found.changed:
        back_to(project, before)
        if proposed:
            propose(project, gitlab_of(project.environment), said, made, in_part=True)
    if text is not None:
        atomic.write_text(text, marked(said.markdown(), made, in_part=bool(found.failed)))
    write_outputs(
        output,
        {
            "held": str(bool(found.failed)).lower(),
            "changed": str(found.changed).lower(),
            "title": said.title,
            "outcome": found.outcome,
        },
    )
    lines = "\n".join(f"- {cell}" for cell in found.failed)
    write_summary(summary, f"As they were:\n\n{lines}" if lines else "Every cell passed.")
    if as_json:
        write_json({"held": list(found.failed), "changed": found.changed, "title": said.title})
    else:
        write(lines or "every cell passed")


@command.command("missing")
@click.option("--to", required=True, metavar="DEST", help="As armtorch publish takes it.")
@_AGAINST_BASE
@_PIPELINE
@output_option
@summary_option
@json_option
@click.pass_obj
def missing(
    project: Project,
    *,
    to: str,
    solved: bool,
    pipeline: Path | None,
    output: Path | None,
    summary: Path | None,
    as_json: bool,
) -> None:
    """List the cells of which a channel lacks packages of the lock.

    \b
    Examples:
      armtorch ci missing --to https://prefix.dev/torch --against-base
      armtorch ci plan --cells "$(armtorch ci missing --to ./mirror --json | jq -r '.cells|keys[]')"
    """
    machine = () if solved else None
    found = jobs.missing_cells(project, to, machine=machine)
    if pipeline is not None:
        made = jobs.plan(project, cells=[*found.cells], machine=machine)
        atomic.write_text(pipeline, made.pipeline(project.declared()))
    write_outputs(output, {"cells": " ".join(found.cells)})
    write_summary(summary, found.markdown())
    if as_json:
        write_json({"cells": found.cells, "blocked": found.blocked})
    else:
        write(found.markdown())


for _each in ci_hub.COMMANDS:
    command.add_command(_each)
