"""``armtorch init``."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click

from generator.ci.starting import Wishes, offered, plan_start, write_start
from generator.commands.options import ManyValues, NamedPath, json_option, many_option
from generator.model.fields import python_word
from generator.printing import Screen, write, write_json
from generator.project import Project


@click.command("init")
@click.argument(
    "folder", required=False, type=NamedPath(path_type=Path, file_okay=False), metavar="[FOLDER]"
)
@click.option("--channel", default="", help="Its name on a host, its URL, or file:// and a folder.")
@click.option("--to", default="", metavar="DEST", help="Where it is published: armtorch publish.")
@click.option("--repository", default="", metavar="URL", help="Where its feedstock is found.")
@many_option("--maintainer", "maintainers", help="GitHub names, for the recipes.")
@many_option(
    "--subdir", "subdirs", help="conda subdirs. Default: those that upstream has wheels for."
)
@many_option(
    "--accelerator",
    "accelerators",
    help="cpu, cuda, every line with cuda*, or cuda130. Default: cpu and cuda.",
)
@many_option(
    "--python",
    "pythons",
    parse=python_word,
    help="Python builds: 3.12, 3.14t, !3.15t. Default: all.",
)
@many_option("--train", "trains", help="stable, rc, nightly. Default: stable.")
@click.option(
    "--ci",
    type=click.Choice(["github", "gitlab"]),
    default="github",
    show_default=True,
    help="Whose CI the workflows are for.",
)
@click.option(
    "--armtorch",
    default="",
    metavar="SOURCE",
    help="What the workflows install: git+https://...@COMMIT, the path of a wheel, or a version. "
    "Default: what this armtorch was installed from.",
)
@click.option("--upgrade", is_flag=True, help="Bring workflows and the pin up to this armtorch.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and stop.")
@json_option
@click.pass_obj
def command(
    project: Project,
    /,
    *,
    folder: Path | None,
    channel: str,
    to: str,
    repository: str,
    ci: Literal["github", "gitlab"],
    armtorch: str,
    upgrade: bool,
    dry_run: bool,
    as_json: bool,
    **wanted: tuple[Any, ...],
) -> None:
    """Begin a channel of your own: feedstock.yaml, a README, git's files and workflows.

    In a terminal it asks for what is not said. Files that are there stay as they are; with
    --upgrade the workflows and the pinned armtorch are renewed, but for those that somebody
    changed. The pin is by hash: pip's index is asked for those of all that armtorch needs.

    \b
    Examples:
      armtorch init mychannel --channel mychannel --to https://prefix.dev/mychannel
      armtorch init --channel file:///srv/channel --accelerator cpu --python 3.12,3.13
      armtorch init --channel site --to s3://bucket/site --ci gitlab
      armtorch init --upgrade --dry-run
    """
    root = folder or project.root
    project = replace(project, feedstock=root / project.feedstock.name)
    wishes = None
    if upgrade or project.feedstock.exists():
        asked = {"channel": channel, "to": to, "repository": repository, **wanted}
        said = [f"--{name.removesuffix('s')}" for name, value in asked.items() if value]
        if said and project.feedstock.exists():
            text = f"{', '.join(said)}: not heeded, as feedstock.yaml is there; edit that"
            project.narrator.warn(text)
    else:
        wishes = replace(_wishes(channel, to, repository, wanted), ci=ci)
    planned = plan_start(project, wishes, armtorch=armtorch, upgrade=upgrade)
    if not dry_run:
        write_start(project, planned)
    if as_json:
        write_json([{"path": each.path, "action": each.action} for each in planned])
        return
    Screen().table(["file", ""], [[each.path, each.action] for each in planned])
    kept = [each for each in planned if each.action == "kept"]
    if kept and upgrade:
        write("\nkept: somebody changed it; to have it anew, remove it and run this again")
    if not dry_run:
        write(f"\nnext, in {root}: {_next_steps(project, upgrade=upgrade)}")


def _next_steps(project: Project, *, upgrade: bool) -> str:
    if upgrade:
        return "armtorch update, then armtorch render"
    to = next(iter(project.declared().destinations), "DEST")
    return f"armtorch up, then armtorch publish --to {to}; or have CI do it: README.md"


def _asks() -> bool:
    return sys.stdin.isatty()


def _wishes(channel: str, to: str, repository: str, wanted: dict[str, Any]) -> Wishes:
    if not channel:
        if not _asks():
            raise click.UsageError("a channel has a name: --channel NAME, or run it in a terminal")
        channel = click.prompt("Name or URL of the channel")
        to = to or click.prompt("Where is it published (--to; empty: later)", default="")
        repository = repository or click.prompt("URL of its repository (empty: later)", default="")
        many = functools.partial(ManyValues, empty=True)
        wanted |= {
            name: wanted[name] or click.prompt(text, default=default, type=many(parse))
            for name, text, default, parse in (
                ("maintainers", "Maintainers, GitHub names (empty: as the channel)", "", str),
                ("subdirs", "Subdirs", " ".join(offered().subdirs), str),
                ("accelerators", "Accelerators", "cpu cuda", str),
                ("pythons", "Pythons (all, or 3.12 3.14t)", "all", python_word),
                ("trains", "Trains", "stable", str),
            )
        }
    return Wishes(channel=channel, to=to, repository=repository, **wanted)
