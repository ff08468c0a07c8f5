"""``armtorch indexes``."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from generator.commands.options import indexes_option, json_option
from generator.errors import UnreachableError
from generator.printing import Screen, write_json
from generator.project import Project
from generator.stages.update import survey_indexes
from generator.updating import IndexView


@click.command("indexes")
@indexes_option
@json_option
@click.pass_obj
def command(project: Project, *, indexes: tuple[str, ...], as_json: bool) -> None:
    """Show every index of feedstock.yaml: whether it answers, what it has, what it would add.

    Reads the indexes' pages and no wheel, and writes nothing. Of wheels whose names do not say what
    they are for, as on PyPI for Linux, only update can tell what they would add.

    \b
    Examples:
      armtorch indexes
      armtorch indexes --indexes pypi,whl-cpu
      armtorch indexes --json | jq '.[] | select(.adds != [])'
    """
    found = survey_indexes(project, indexes)
    if as_json:
        write_json([asdict(each) for each in found])
    else:
        screen = Screen()
        screen.table(
            ["index", "trains", "answers", "ARM wheels", "newest torch", "would add"],
            [
                [
                    each.name,
                    " ".join(each.trains),
                    _answer(each),
                    "" if each.failed else str(each.wheels),
                    each.newest,
                    "; ".join(map(str, each.adds)),
                ]
                for each in found
            ],
            right=[3],
        )
        # once per reason: the indexes of a host fail alike
        for reason in dict.fromkeys(each.failed for each in found if each.failed):
            names = ", ".join(each.name for each in found if each.failed == reason)
            screen.print(f"{names}: {reason}")
    if found and all(each.failed for each in found):
        sys.exit(UnreachableError.exit_code)


def _answer(index: IndexView) -> str:
    if not index.failed:
        return "yes"
    return f"no, since {index.since}" if index.since else "no"
