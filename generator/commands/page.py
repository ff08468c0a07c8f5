"""``armtorch page``."""

from __future__ import annotations

from pathlib import Path

import click

from generator.channel import LocalChannel
from generator.page.site import size_text
from generator.stages.page import write_page
from generator.stages.project import Project


@click.command("page")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, file_okay=False),
    default="channel",
    show_default=True,
    help="The channel folder.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write.  [default: page/ in the channel folder]",
)
@click.option("--url", default="", help="What commands call the channel, instead of channel: .")
@click.pass_obj
def command(project: Project, *, source: Path, out: Path | None, url: str) -> None:
    """Write the channel's page: static files that any web server serves, or a browser opens.

    \b
    Examples:
      armtorch page
      armtorch page --from channel --out site --url https://conda.example.org/torch
    """
    folder = out or source / "page"
    content = write_page(project, LocalChannel(source), folder, url)
    click.echo(
        f"{len(content.offers)} combinations, {len(content.packages)} packages, "
        f"{size_text(content.sizes.packages)}: {(folder / 'index.html').absolute().as_uri()}"
    )
