"""The part of ``armtorch ci`` that asks GitHub: news that were tried, settings, and merging."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from generator.ci.proposing import propose_news
from generator.ci.repository import check_repository
from generator.ci.tried import look_for_news
from generator.commands.options import (
    github_options,
    json_option,
    output_option,
    summary_option,
)
from generator.lock import Announcement
from generator.printing import write, write_json
from generator.project import Project
from generator.provider.github import GitHub, State, write_outputs, write_summary
from generator.provider.gitlab import gitlab_of
from generator.rendering import workflow_settings
from generator.stages.render import refuse_stale_workflows


@click.command("look")
@github_options
@click.option("--again", type=bool, default=False, help="Whatever was tried: true or false.")
@output_option
@summary_option
@json_option
@click.pass_obj
def look(
    project: Project,
    *,
    hub: GitHub,
    repository: str,
    again: bool,
    output: Path | None,
    summary: Path | None,
    as_json: bool,
) -> None:
    """Say whether upstream has news that were not tried yet; writes nothing of the feedstock.

    What was tried, and how it ended, is asked of the release's pull requests and the status of
    their heads: a release is tried once, until something it is made of changes.

    \b
    Examples:
      armtorch ci look --repository me/armtorch
    """
    found = look_for_news(project, hub, repository, again=again)
    said = found.announcement
    text = f"Not tried: {found.reason}." if found.reason else "Nothing is new."
    text = said.markdown() if found.wanted else text
    if found.wanted:
        refuse_stale_workflows(project)
    write_outputs(output, {"changed": str(found.wanted).lower(), "made": found.made})
    write_summary(summary, text)
    if as_json:
        write_json({"wanted": found.wanted, "made": found.made, "reason": found.reason})
    else:
        write(text)
    _warn(project, said)


@click.command("check")
@github_options
@click.option("--only", multiple=True, metavar="NAME", help="Only the rows of this name.")
@summary_option
@json_option
@click.pass_obj
def check(
    project: Project,
    *,
    hub: GitHub,
    repository: str,
    only: tuple[str, ...],
    summary: Path | None,
    as_json: bool,
) -> None:
    """Look at a repository's settings, and say what keeps CI from working by itself.

    Exit code 1 where something is wrong. An administrator's token sees all of it; what a token may
    not see is said to be unknown.

    \b
    Examples:
      GITHUB_TOKEN=... armtorch ci check --repository me/armtorch
    """
    rows = check_repository(hub, repository, project.declared())
    found = [row for row in rows if not only or row.name in only]
    lines = [f"{row.state}: {row.name}: {row.said}" for row in found]
    lines = [f"{t}; {r.where}" if r.where else t for t, r in zip(lines, found, strict=True)]
    write_summary(summary, "\n".join(f"- {line}" for line in lines))
    if as_json:
        write_json([asdict(row) for row in found])
    else:
        write("\n".join(lines))
    if any(row.state == "wrong" for row in found):
        sys.exit(1)


@click.command("tell")
@github_options
@click.option("--commit", required=True, help="The commit that was tried.")
@click.option(
    "--outcome",
    required=True,
    type=click.Choice(["pending", "success", "failure", "error"]),
    help="How that ended.",
)
@click.option("--run", default="", metavar="URL", help="Where people see it.")
@json_option
def tell(
    *, hub: GitHub, repository: str, commit: str, outcome: State, run: str, as_json: bool
) -> None:
    """Give a commit the status by which `armtorch ci look` knows that it was tried.

    \b
    Examples:
      armtorch ci tell --repository me/armtorch --commit "$COMMIT" --outcome success
    """
    words = {
        "pending": "one Python of every cell is built and tested",
        "success": "what is left of the release was built and tested",
        "failure": "the release cannot be served",
        "error": "it ended, and no package says why",
    }
    hub.tell(repository, commit, workflow_settings().check, outcome, said=words[outcome], run=run)
    if as_json:
        write_json({"commit": commit, "outcome": outcome})
    else:
        write(f"{commit}: {words[outcome]}")


@click.command("merge")
@github_options
@click.option("--number", required=True, type=click.IntRange(1), help="The pull request.")
@click.option("--commit", required=True, help="Its head, as it was built and tested.")
@json_option
def merge(
    *,
    hub: GitHub,
    repository: str,
    number: int,
    commit: str,
    as_json: bool,
) -> None:
    """Merge the pull request of a release, if it still is what was tested.

    \b
    Examples:
      armtorch ci merge --repository me/armtorch --number 7 --commit "$COMMIT"
    """
    merged = hub.merge(repository, number, commit)
    if as_json:
        write_json({"commit": merged})
    else:
        write(merged)


@click.command("start")
@github_options
@click.option(
    "--cells", default="", help="Only these cells, LINE/SUBDIR/ACCELERATOR; all if empty."
)
@json_option
def start(*, hub: GitHub, repository: str, cells: str, as_json: bool) -> None:
    """Start build.yml, which builds what main has and publishes it, in a run of its own.

    So a publication that waits for a reviewer keeps no other workflow waiting.

    \b
    Examples:
      armtorch ci start --repository me/armtorch
      armtorch ci start --repository me/armtorch --cells 2.15/linux-aarch64/cuda132
    """
    hub.start(repository, "build.yml", "main", {"cells": cells})
    if as_json:
        write_json({"workflow": "build.yml", "cells": cells})
    else:
        write(f"build.yml is started for {cells or 'all cells'}")


@click.command("propose")
@click.option(
    "--again", type=bool, default=False, envvar="ARMTORCH_AGAIN", help="Whatever was tried."
)
@json_option
@click.pass_obj
def propose(project: Project, *, again: bool, as_json: bool) -> None:
    """In a job of GitLab's: release news that were not tried yet, as a merge request.

    Its own pipeline tries it, and GitLab merges it where that passes and no person is needed.

    \b
    Examples:
      armtorch ci propose
    """
    found, url = propose_news(project, gitlab_of(project.environment), again=again)
    if as_json:
        write_json({"made": found.made, "reason": found.reason, "url": url})
    elif url:
        write(url)
    else:
        write(f"not tried: {found.reason}" if found.reason else "nothing is new")
    _warn(project, found.announcement)


def _warn(project: Project, said: Announcement) -> None:
    """Name what did not answer; a run in which nothing did ends with its exit code."""
    for finding in (*said.findings, *said.silent):
        project.narrator.warn(str(finding))
    if said.findings and not said.changed:
        sys.exit(said.findings[0].exit_code)


COMMANDS: Final = (check, look, merge, propose, start, tell)
