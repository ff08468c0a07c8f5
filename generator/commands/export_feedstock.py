"""``armtorch export-feedstock``."""

from __future__ import annotations

from pathlib import Path

import click

from generator.commands.options import NamedPath, json_option
from generator.printing import write, write_json
from generator.project import Project
from generator.rendering.feedstock_tree import export_feedstock


@click.command("export-feedstock")
@click.argument("package", metavar="LINE/PACKAGE")
@click.argument("folder", type=NamedPath(path_type=Path, file_okay=False))
@json_option
@click.pass_obj
def command(project: Project, package: str, folder: Path, *, as_json: bool) -> None:
    """Write one recipe as a feedstock tree that conda-smithy knows how to rerender.

    \b
    Examples:
      armtorch export-feedstock 2.10/pytorch ../pytorch-feedstock
    """
    found = list(export_feedstock(project, package, folder))
    if as_json:
        write_json(found)
        return
    for path in found:
        write(path)
