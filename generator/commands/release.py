"""``armtorch release``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from generator import atomic
from generator.ci.releasing import Release, release
from generator.ci.tried import made_of, marked
from generator.commands.options import (
    NamedPath,
    json_option,
    output_option,
    strict_option,
    summary_option,
)
from generator.commands.tables import held_as_json, show_held
from generator.errors import HeldError
from generator.printing import write, write_json
from generator.project import Project
from generator.provider.github import write_outputs, write_summary

_FILE = NamedPath(path_type=Path, dir_okay=False)


@click.command("release")
@click.option("--dry-run", is_flag=True, help="Print the text and write nothing.")
@click.option("--text", type=_FILE, help="Write the pull request's text here.")
@output_option
@summary_option
@strict_option
@json_option
@click.pass_obj
def command(
    project: Project,
    *,
    dry_run: bool,
    text: Path | None,
    output: Path | None,
    summary: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Turn upstream's news into what a pull request holds, and print its text.

    Updates the lock, raises build numbers, renders, and writes an entry into CHANGELOG.md. Where
    an index does not answer the lock keeps what it knew, and the text says so; if then nothing
    changed, the exit code is that of the index. A released wheel whose bytes changed stops it
    (exit code 13) before anything is written. What is held back is named last, with the reason.

    \b
    Examples:
      armtorch release --dry-run
      armtorch release --text pull-request.md
      armtorch release --json | jq .attention
    """
    found = release(project, dry_run=dry_run)
    said = found.announcement
    if text is not None:
        atomic.write_text(text, marked(said.markdown(), made_of(found.lock)))
    write_summary(summary, said.markdown() if said.changed else "Nothing is new.")
    write_outputs(
        output,
        {
            "changed": str(said.changed and not dry_run).lower(),
            "attention": str(bool(said.attention)).lower(),
            "title": said.title,
            "made": made_of(found.lock),
        },
    )
    if as_json:
        write_json(_as_json(found))
    else:
        write(said.markdown() if said.changed else "nothing is new")
    for finding in (*said.findings, *said.silent):
        project.narrator.warn(str(finding))
    show_held(project.narrator, said.held)
    if said.findings and not said.changed:
        sys.exit(said.findings[0].exit_code)
    if strict and said.held:
        sys.exit(HeldError.exit_code)


def _as_json(found: Release) -> dict[str, object]:
    said = found.announcement
    return {
        "changed": said.changed,
        "title": said.title,
        "attention": list(said.attention),
        "text": said.markdown(),
        "diff": said.diff.to_json(),
        "held": held_as_json(said.held),
        "builds": {
            name: {"before": was, "after": now} for name, (was, now) in said.numbers.items()
        },
        "findings": [{"kind": f.kind, "what": f.what, "where": f.where} for f in said.findings],
        "files": list(found.files),
    }
