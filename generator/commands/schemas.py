"""``armtorch schemas``."""

from __future__ import annotations

from pathlib import Path

import click

from generator.atomic import write_text
from generator.commands.options import json_option
from generator.explaining import Answer, Checkup, Coverage, schema_of
from generator.feedstock import schema_text
from generator.inspecting import manifest_schema_text
from generator.lock import lock_schema_text
from generator.matrix import matrix_schema
from generator.printing import write, write_json
from generator.project import Project


def schema_files() -> dict[str, str]:
    """Return the JSON Schemas that are committed, by path below the repository."""
    return {
        "docs/feedstock.schema.json": schema_text(),
        "docs/feedstock.lock.schema.json": lock_schema_text(),
        "docs/matrix.schema.json": matrix_schema(),
        "docs/explain.schema.json": schema_of(Answer),
        "docs/coverage.schema.json": schema_of(Coverage),
        "docs/doctor.schema.json": schema_of(Checkup),
        "docs/manifest.schema.json": manifest_schema_text(),
    }


@click.command("schemas")
@json_option
@click.pass_obj
def command(project: Project, *, as_json: bool) -> None:
    """Write docs/*.schema.json anew from the model (for people who change armtorch)."""
    files = schema_files()
    for name, text in files.items():
        path = Path(project.root, name)
        path.parent.mkdir(exist_ok=True)
        write_text(path, text)
        if not as_json:
            write(name)
    if as_json:
        write_json(list(files))
