"""``armtorch compile``."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import asdict
from pathlib import Path

import click

from generator.commands.options import folder_option, json_option
from generator.compiling import Options, Outcome, Plan, compile_source, plan, select
from generator.errors import BuildError
from generator.interrupts import INTERRUPTED, STOPPED
from generator.printing import Screen, write_error, write_json
from generator.project import Project

_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


class Span(click.ParamType[float]):
    """A span of time, ``5h``, ``90m`` or ``1h30m``."""

    name = "span"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        found = _SPAN.fullmatch(str(value))
        if found is None or not any(found.groups()):
            self.fail(f"{value!r} is no span of time; write it like 5h or 1h30m", param, ctx)
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return float(3600 * hours + 60 * minutes + seconds)


@click.command("compile")
@click.argument("globs", nargs=-1, metavar="[GLOB]...")
@folder_option("--out", default="wheels", help="Folder that finished wheels are put into.")
@folder_option(
    "--work",
    envvar="ARMTORCH_COMPILING",
    metavar="FOLDER",
    help="Root, sources, trees and ccache; else in the user's cache.",
)
@click.option("--jobs", type=click.IntRange(1), help="Units at once; else what memory allows.")
@click.option("--time-limit", type=Span(), metavar="5h", help="Stop then; the next run goes on.")
@click.option("--dry-run", is_flag=True, help="Say what would be made and what it takes, and stop.")
@json_option
@click.pass_obj
def command(
    project: Project,
    /,
    *,
    globs: tuple[str, ...],
    out: Path,
    work: Path | None,
    jobs: int | None,
    time_limit: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make wheels from source, where upstream serves none: the rows `sources` of feedstock.yaml.

    A GLOB is over `row/target`, and a row's name takes all of it, up to its wheel. Everything comes
    from Debian, through apt, and is unpacked into a folder: nothing is installed. It needs root, or
    a kernel that lets users make mount namespaces. What was made stays, so that a run that was
    stopped, killed or out of time goes on; then the code is 130.

    \b
    Examples:
      armtorch compile --dry-run
      armtorch compile torch/c10
      armtorch compile torch --time-limit 5h --out wheels
    """
    begun = time.monotonic()
    rows = project.declared().sources
    plans = [plan(name, rows[name], taken, jobs) for name, taken in select(rows, globs).items()]
    for each in plans:
        for line in each.sentences():
            project.narrator.say(line)
    if dry_run:
        if as_json:
            write_json([_planned(each) for each in plans])
        return
    options = Options(
        work=work or project.cache / "compiling",
        out=out,
        deadline=None if time_limit is None else begun + time_limit,
    )
    outcomes: list[Outcome] = []
    for each in plans:
        outcomes.append(compile_source(each, rows, project.root, options, project.narrator))
        if outcomes[-1].state != "done":
            break
    if as_json:
        write_json([asdict(each) for each in outcomes])
    else:
        _show(outcomes)
    last = outcomes[-1]
    if last.state == "stopped":
        write_error(STOPPED)
        sys.exit(INTERRUPTED)
    if last.state == "failed":
        sys.exit(BuildError.exit_code)


def _planned(each: Plan) -> dict[str, object]:
    """Say what a row takes, without the row itself."""
    whole = {**asdict(each), "hours": each.hours}
    return {name: value for name, value in whole.items() if name != "source"}


def _show(outcomes: list[Outcome]) -> None:
    screen = Screen()
    screen.table(
        ["row", "state", "units", "of", "processor time", "largest", "wheel"],
        [
            [
                each.name,
                each.state,
                str(each.done),
                str(each.total),
                f"{each.seconds / 3600:.2f} h",
                f"{each.largest / 1e6:.0f} MB",
                each.wheel,
            ]
            for each in outcomes
        ],
        right=[2, 3, 4, 5],
    )
    for each in outcomes:
        for failure in each.failures:
            screen.print(f"{failure.unit}: {failure.cause}", lead="failed ", colour="red")
        if each.failures:
            screen.print(f"all of it: {each.tree}/ninja.log")
