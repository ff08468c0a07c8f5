"""``armtorch coverage``."""

from __future__ import annotations

import click

from generator.commands.options import json_option, many_option
from generator.commands.reaching import reach_options
from generator.explaining import ChannelOffer, Coverage, to_json
from generator.explaining.answering import Reach, compare_channels
from generator.printing import Screen, shortened, write_json_text
from generator.project import Project
from generator.urls import masked

_AGAINST = ("conda-forge", "pytorch")
#: characters of one reason in the table
_WIDTH = 60


@click.command("coverage")
@many_option(
    "--against",
    help="Channels to compare with. Default: conda-forge,pytorch.",
)
@reach_options
@json_option
@click.pass_obj
def command(project: Project, against: tuple[str, ...], reach: Reach, *, as_json: bool) -> None:
    """Compare our channel with others: per cell what each has, how late it came, what is missing.

    \b
    Examples:
      armtorch coverage
      armtorch coverage --channel file:///srv/channel --against conda-forge
      armtorch coverage --json | jq '.rows[] | select(.missing != [])'
    """
    found = compare_channels(project, against or _AGAINST, reach)
    if as_json:
        write_json_text(to_json(Coverage, found))
    else:
        _show(found)


def _show(found: Coverage) -> None:
    screen = Screen()
    heads = ["subdir", "accelerator", "package", "upstream", found.ours, *found.against, "missing"]
    screen.table(
        heads,
        [
            [
                row.subdir,
                row.accelerator,
                row.package,
                row.upstream or "-",
                _offer(row.ours),
                *(_offer(offer) for offer in row.theirs),
                "; ".join(shortened(masked(text), _WIDTH) for text in row.missing),
            ]
            for row in found.rows
        ],
    )
    screen.print(
        "\nIn brackets: Pythons. +n d: days from upstream's release to the first build there. "
        "--json has the reasons in full."
    )


def _offer(offer: ChannelOffer) -> str:
    """``2.13.0 (3.10-3.14) +17 d``: the lag is from upstream's release to the first build."""
    if offer.state not in {"answered", "cached"}:
        return offer.state
    if not offer.version:
        return "-"
    pythons = f"{offer.pythons[0]}-{offer.pythons[-1]}" if len(offer.pythons) > 1 else ""
    shown = pythons or "".join(offer.pythons)
    lag = f" +{offer.lag_days} d" if offer.lag_days is not None else ""
    return f"{offer.version}{f' ({shown})' if shown else ''}{lag}"
