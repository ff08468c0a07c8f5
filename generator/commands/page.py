"""``armtorch page``."""

from __future__ import annotations

from pathlib import Path

import click

from generator.channel import LocalChannel
from generator.ci.repository import last_look
from generator.commands.options import (
    declared_repository,
    folder_option,
    json_option,
    refuse_no_channel,
)
from generator.errors import AbsentError
from generator.explaining.answering import Reach, compare_channels
from generator.page.gathering import refuse_default_name, solvability, write_page
from generator.page.site import size_text
from generator.printing import write, write_json
from generator.project import Project
from generator.provider.github import API, GitHub


@click.command("page")
@folder_option("--from", "source", default="channel", help="The channel folder.")
@folder_option("--out", help="The folder to write.  [default: page/ in the channel folder]")
@click.option(
    "--solve", "solves", is_flag=True, help="Offer only what solves with the base channels now."
)
@click.option(
    "--base",
    multiple=True,
    metavar="CHANNEL",
    help="Solve with these instead of the feedstock's base channels.",
)
@click.option(
    "--against",
    multiple=True,
    metavar="CHANNEL",
    help="Show what these channels have of each cell, too: conda-forge, pytorch.",
)
@click.option(
    "--url",
    default="",
    help="What commands call the channel, instead of channel: in feedstock.yaml; KIND+https:// as "
    "for publish, where the server is not a public one.",
)
@click.option(
    "--looked",
    is_flag=False,
    flag_value=API,
    default="",
    metavar="[API]",
    help="Ask GitHub when the repository of feedstock.yaml last looked at upstream, and say it.",
)
@json_option
@click.pass_obj
def command(
    project: Project,
    *,
    source: Path,
    out: Path | None,
    solves: bool,
    base: tuple[str, ...],
    against: tuple[str, ...],
    url: str,
    looked: str,
    as_json: bool,
) -> None:
    """Write the channel's page: static files that any web server serves, or a browser opens.

    The sub-channels of rc and nightly, label/ in the folder, are on it, too.

    \b
    Examples:
      armtorch page
      armtorch page --solve --against conda-forge --against pytorch
      armtorch page --from channel --out site --url https://conda.example.org/torch
    """
    refuse_no_channel(base)
    refuse_default_name(url or project.declared().channel)
    indexes = ("*/repodata.json", "label/*/*/repodata.json")
    if not any(True for pattern in indexes for _ in source.glob(pattern)):
        raise AbsentError(
            "there is no channel there",
            where=str(source),
            next_step="build one: armtorch up; or name the channel's folder with --from",
        )
    folder = out or source / "page"
    channel = LocalChannel(source)
    check = solvability(project.declared(), channel, base) if solves or base else None
    others = compare_channels(project, against, Reach()) if against else None
    time = last_look(GitHub(url=looked), declared_repository()) if looked else None
    when = time.isoformat(timespec="minutes") if time is not None else ""
    content = write_page(project, channel, folder, url, check, others, when)
    index = (folder / "index.html").absolute().as_uri()
    if as_json:
        combinations, packages = len(content.offers), len(content.packages)
        size = content.sizes.packages
        write_json(
            {"index": index, "combinations": combinations, "packages": packages, "bytes": size}
        )
        return
    write(
        f"{len(content.offers)} combinations, {len(content.packages)} packages, "
        f"{size_text(content.sizes.packages)}: {index}"
    )
