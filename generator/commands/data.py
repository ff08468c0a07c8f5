"""``armtorch data``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from generator.commands.options import json_option
from generator.printing import Screen, write, write_json
from generator.project import Project
from generator.stages.local_data import data_file, data_files


@click.command("data")
@click.argument("name", required=False)
@json_option
@click.pass_obj
def command(project: Project, /, *, name: str | None, as_json: bool) -> None:
    """Show the facts armtorch goes by, with the rows of data/*.yaml beside feedstock.yaml.

    A file there has the name and the form of one of armtorch's own (generator/data), and only the
    rows that are to be otherwise: mappings are laid over key by key, rows of lists come first and
    take the place of their namesakes. Every row is checked as armtorch's own are.

    \b
    Examples:
      armtorch data
      armtorch data jetson
    """
    found = data_files()
    if name is not None:
        write(json.dumps(data_file(name), indent=2, ensure_ascii=False, default=str))
    elif as_json:
        write_json([asdict(each) for each in found])
    else:
        rows = [[each.name, each.local or "armtorch's own"] for each in found]
        Screen().table(["file", f"rows of {project.local_data}"], rows)
