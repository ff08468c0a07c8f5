"""``armtorch update``."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from generator.commands.options import json_option
from generator.printing import write, write_json
from generator.stages.project import Project
from generator.stages.upstream import UpdateResult, update_lock


@click.command("update")
@click.option("--dry-run", is_flag=True, help="Show what would change and write nothing.")
@json_option
@click.pass_obj
def command(project: Project, *, dry_run: bool, as_json: bool) -> None:
    """Look up what upstream has and write feedstock.lock.yaml.

    Reads the indexes of feedstock.yaml, and of each wheel only METADATA and RECORD, by range
    request. What an index does not answer stays as the lock knew it. The difference to the old
    lock is printed.

    \b
    Examples:
      armtorch update
      armtorch update --dry-run
      PIP_INDEX_URL=https://mirror.example/simple armtorch update
    """
    result = update_lock(project, dry_run=dry_run)
    if as_json:
        write_json(_as_json(result))
    else:
        unchanged = (
            "nothing is new in what answered"
            if result.findings
            else "the same wheels, and what the indexes say of them is renewed"
            if result.renewed
            else "is up to date"
        )
        write(result.diff.text() or f"feedstock.lock.yaml: {unchanged}")
        if dry_run and not result.diff.empty:
            write("nothing was written (--dry-run)", err=True)
    for finding in result.findings:
        project.narrator.warn(str(finding))
    project.narrator.say(
        f"read {result.traffic.bytes / 1e6:.1f} MB in {result.traffic.requests} requests"
    )
    if result.findings:
        sys.exit(result.findings[0].exit_code)


def _as_json(result: UpdateResult) -> dict[str, object]:
    return {
        "changed": not result.diff.empty,
        "diff": [asdict(row) for row in result.diff.rows],
        "findings": [
            {"kind": found.kind, "what": found.what, "where": found.where, "next": found.next_step}
            for found in result.findings
        ],
        "bytes_read": result.traffic.bytes,
        "requests": result.traffic.requests,
    }
