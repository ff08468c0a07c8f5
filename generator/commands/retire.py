"""``armtorch retire``."""

from __future__ import annotations

from pathlib import Path

import click

from generator.channel.places import open_place
from generator.channel.publication import retirable
from generator.channel.removing import remove
from generator.commands.options import json_option
from generator.commands.tables import megabytes
from generator.errors import AbsentError
from generator.printing import Screen, write_json
from generator.project import Project


@click.command("retire")
@click.option("--to", required=True, metavar="DEST", help="The destination, as for publish.")
@click.option("--label", default="", help="Its label, as for publish.")
@click.option("--dry-run", is_flag=True, help="List what would go, and stop.")
@click.option("--yes", is_flag=True, help="Delete at a host, too, which keeps no copy.")
@json_option
@click.pass_obj
def command(
    project: Project, *, to: str, label: str, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Take away what a destination's retention: in feedstock.yaml does not keep.

    The newest build of each cell and Python stays whatever its age, and so does everything that a
    package which stays depends on. Without retention: rc keeps 3 versions, nightly 14 of at most
    30 days, stable everything.

    prefix.dev, anaconda.org, quetz and artifactory delete by their own requests and want a token
    in the variable that publish names, and --yes here. At anaconda.org a file that has another
    label, too, is left alone.

    \b
    Examples:
      armtorch retire --to mirror --dry-run
      armtorch retire --to s3://my-bucket/torch --label nightly
      armtorch retire --to https://anaconda.org/me --label nightly --yes
    """
    place = open_place(project, to, label)
    # CI, which says --yes, and who names a label may come before the first package
    unseen = place.address.kind == "folder" and not Path(place.address.server).is_dir()
    if unseen and not (label or yes):
        raise AbsentError(
            "there is no channel there",
            where=place.address.server,
            next_step="name the folder that armtorch publish was told",
        )
    chosen = retirable(place)
    if not dry_run and chosen:
        remove(project, place, chosen, confirmed=yes)
    if as_json:
        write_json(
            {
                "destination": str(place.address),
                "removed": not dry_run,
                "bytes": sum(each.record.size for each in chosen),
                "packages": [
                    {"package": r.record.key, "size": r.record.size, "reason": r.reason}
                    for r in chosen
                ],
            }
        )
        return
    screen = Screen()
    if chosen:
        screen.table(
            ["package", "size", "why"],
            [[each.record.key, megabytes(each.record.size), each.reason] for each in chosen],
            right=[1],
        )
    freed = megabytes(sum(each.record.size for each in chosen))
    verb = "would go" if dry_run else "gone"
    screen.print(f"{len(chosen)} packages {verb}, {freed}")
