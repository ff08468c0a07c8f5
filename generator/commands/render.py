"""``armtorch render``."""

from __future__ import annotations

from dataclasses import asdict

import click

from generator.commands.options import json_option
from generator.errors import StaleError
from generator.printing import write, write_json
from generator.project import Project
from generator.stages.render import render_feedstock, renumber


@click.command("render")
@click.option("--check", is_flag=True, help="Change nothing; show the difference and exit 1.")
@click.option(
    "--renumber",
    "number",
    is_flag=True,
    help="First raise the build numbers of recipes whose templates or maps changed.",
)
@json_option
@click.pass_obj
def command(project: Project, *, check: bool, number: bool, as_json: bool) -> None:
    """Write recipes/ and .ci_support/ from the lock.

    The same lock and templates give the same bytes. Everything is parsed back, checked against
    its schema and rendered by rattler-build before it replaces a file; files that no longer
    belong there are removed.

    \b
    Examples:
      armtorch render
      armtorch render --check       for CI: are the committed files what they should be?
      armtorch render --renumber    after a change of templates/ or generator/data/
    """
    if number and check:
        raise click.UsageError("--check changes nothing, so it does not go with --renumber")
    numbered = renumber(project) if number else ()
    result = render_feedstock(project, check=check)
    if as_json:
        write_json(
            {
                "files": result.files,
                "renumbered": list(numbered),
                "differences": [asdict(each) for each in result.differences],
            }
        )
    elif check:
        for each in result.differences:
            write(f"{each.kind}: {each.path}")
            write(each.diff, nl=False)
    else:
        for key in numbered:
            write(f"renumbered: {key}")
        for each in result.differences:
            write(f"{'removed' if each.kind == 'stray' else 'written'}: {each.path}")
        write(f"{result.files} files, {len(result.differences)} of them changed")
    if check and result.differences:
        raise StaleError(
            f"{len(result.differences)} of {result.files} generated files are not what the lock "
            "and the templates give",
            where=str(project.root),
            next_step="run armtorch render",
        )
