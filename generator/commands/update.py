"""``armtorch update``."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from generator.commands.options import indexes_option, json_option, strict_option
from generator.commands.tables import held_as_json, show_held
from generator.console import Narrator
from generator.errors import ArmtorchError, HeldError, UnreachableError
from generator.model import Lock
from generator.printing import write, write_json
from generator.project import Project
from generator.stages.update import UpdateResult, update_lock
from generator.upstream import Silence


@click.command("update")
@click.option("--dry-run", is_flag=True, help="Show what would change and write nothing.")
@indexes_option
@strict_option
@json_option
@click.pass_obj
def command(
    project: Project, *, dry_run: bool, indexes: tuple[str, ...], strict: bool, as_json: bool
) -> None:
    """Look up what upstream has and write feedstock.lock.yaml.

    Reads the indexes of feedstock.yaml, and of each wheel only METADATA and RECORD, by range
    request. What an index does not answer stays as the lock knew it, and what it could have better
    is taken from others until it does; only where none answers that is a failure. The difference to
    the old lock is printed.

    What something speaks against (a wheel that is broken, a dependency without a conda name) is
    held back alone: the next older release is taken, or the package is left out. The last lines
    say what is held, and why.

    \b
    Examples:
      armtorch update
      armtorch update --dry-run
      armtorch update --strict
      armtorch update --indexes pypi
      PIP_INDEX_URL=https://mirror.example/simple armtorch update
    """
    result = update_lock(project, dry_run=dry_run, only=indexes)
    if as_json:
        write_json(_as_json(result))
    else:
        unchanged = (
            "nothing is new in what answered"
            if result.findings or result.silent
            else "the same wheels, and what the indexes say of them is renewed"
            if result.renewed
            else "is up to date"
        )
        write(result.diff.text() or f"feedstock.lock.yaml: {unchanged}")
        if dry_run and not result.diff.empty:
            write("nothing was written (--dry-run)", err=True)
    for finding in result.findings:
        project.narrator.warn(str(finding))
    _show_silent(project.narrator, result.silent, result.lock)
    project.narrator.say(
        f"read {result.traffic.bytes / 1e6:.1f} MB in {result.traffic.requests} requests"
    )
    show_held(project.narrator, result.lock.all_held())
    if result.findings:
        sys.exit(result.findings[0].exit_code)
    if result.lock.all_held() and (strict or not result.lock.cells):
        sys.exit(HeldError.exit_code)
    if result.silent and strict:
        sys.exit(UnreachableError.exit_code)


def _as_json(result: UpdateResult) -> dict[str, object]:
    return {
        "changed": not result.diff.empty,
        "diff": result.diff.to_json(),
        "findings": [
            {"kind": found.kind, "what": found.what, "where": found.where, "next": found.next_step}
            for found in result.findings
        ],
        "silent": {each.index: result.lock.silent[each.index] for each in result.silent},
        "held": held_as_json(result.lock.all_held()),
        "bytes_read": result.traffic.bytes,
        "requests": result.traffic.requests,
    }


def _show_silent(narrator: Narrator, silent: Iterable[Silence], lock: Lock) -> None:
    """Tell in a line per server which indexes do not answer, and what that means for cells."""
    by_reason: dict[str, list[str]] = {}
    for each in silent:
        if each.error is not None:
            by_reason.setdefault(_place_and_reason(each.error), []).append(each.index)
    for reason, names in by_reason.items():
        since = min(lock.silent[name] for name in names)
        kept = sum(bool(cell.unreachable_since) for cell in lock.cells)
        older = sum(bool({*cell.behind} & {*names}) for cell in lock.cells)
        narrator.warn(
            f"no answer since {since}: {', '.join(names)} ({reason}); {kept} cells stay as they "
            f"were, {older} are of what others have"
        )


def _place_and_reason(error: ArmtorchError) -> str:
    return f"{error.where.partition('://')[2].partition('/')[0] or error.where}: {error.what}"
