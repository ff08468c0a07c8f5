"""``armtorch yank``."""

from __future__ import annotations

import click

from generator.channel.patching import yank_text
from generator.channel.places import open_place
from generator.channel.removing import apply_hotfixes, write_yank
from generator.commands.options import json_option
from generator.printing import write, write_json
from generator.project import Project


@click.command("yank")
@click.argument("packages", nargs=-1, required=True, metavar="SUBDIR/FILE...")
@click.option("--reason", required=True, help="One sentence; it is shown on the channel's page.")
@click.option("--to", metavar="DEST", help="Apply it there at once; as for publish.")
@click.option("--label", default="", help="Its label, as for publish.")
@click.option("--dry-run", is_flag=True, help="Show the file that would be written, and stop.")
@json_option
@click.pass_obj
def command(
    project: Project,
    *,
    packages: tuple[str, ...],
    reason: str,
    to: str | None,
    label: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Mark builds as removed, without deleting their files.

    Solvers do not see them any more, and environments that have them locked can still be made.
    This writes a file below .ci/hotfixes/, to be committed; deleting it takes the mark away.

    \b
    Examples:
      armtorch yank linux-aarch64/torchvision-0.25.0-cpu_py311_h8f38d31_0.conda \\
        --reason 'decodes some JPEGs upside down' --to mirror
    """
    if dry_run:
        text = yank_text(packages, reason)
        if as_json:
            write_json({"file": None, "text": text, "applied": None})
        else:
            write(text, nl=False)
        return
    place = open_place(project, to, label) if to else None
    path = write_yank(project, place, packages, reason)
    name = str(path.relative_to(project.root))
    if not as_json:
        write(f"wrote {name}: commit it")
    if place is not None:
        apply_hotfixes(project, place)
        if not as_json:
            write(f"applied: {place.address}")
    if as_json:
        applied = None if place is None else str(place.address)
        write_json({"file": name, "text": path.read_text(encoding="utf-8"), "applied": applied})
