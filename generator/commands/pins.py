"""``armtorch pins``."""

from __future__ import annotations

from dataclasses import asdict

import click

from generator.ci.pins import outdated, pins_diff, write_pins
from generator.commands.options import json_option
from generator.errors import IntegrityError, StaleError
from generator.printing import write, write_json
from generator.provider.github import API, GitHub


@click.command("pins")
@click.option("--check", is_flag=True, help="Exit 1 where a newer release exists.")
@click.option("--update", is_flag=True, help="Write the newest releases' commits.")
@click.option("--api", envvar="GITHUB_API_URL", default=API, show_default=True, help="Its API.")
@click.option("--token", envvar="GITHUB_TOKEN", default="", help="[env: GITHUB_TOKEN]")
@json_option
def command(*, check: bool, update: bool, api: str, token: str, as_json: bool) -> None:
    """Show which actions of the workflows have a newer release than the pinned commit.

    A tag that stands for another commit than the one pinned is refused (exit code 13): releases
    do not move, and a moved one is how a taken-over action looks. Render after --update.

    \b
    Examples:
      armtorch pins
      armtorch pins --check
      armtorch pins --update && armtorch render
    """
    changes = outdated(GitHub(url=api, token=token))
    moved = [change for change in changes if change.moved]
    text, diff = pins_diff(changes)
    if as_json:
        write_json(
            [{"now": asdict(c.now), "newest": asdict(c.newest), "moved": c.moved} for c in changes]
        )
    else:
        write(diff or "every action is pinned to its newest release", nl=not diff)
    if moved:
        raise IntegrityError(
            f"{moved[0].now.tag} now is {moved[0].newest.commit}, not {moved[0].now.commit}",
            where=moved[0].now.name,
            next_step="find out why before anything runs it; pin it by hand if it is right",
        )
    if update and changes:
        write_pins(text)
    if check and changes and not update:
        raise StaleError(
            f"{len(changes)} actions have newer releases",
            where="generator/data/action_pins.yaml",
            next_step="armtorch pins --update, then armtorch render",
        )
