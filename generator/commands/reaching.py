"""How commands that ask channels reach them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from generator.commands.options import NamedPath
from generator.explaining import ALIAS, TIMEOUT
from generator.explaining.desk import Reach

_F = TypeVar("_F", bound=Callable[..., Any])


def reach_options(command: _F) -> _F:
    """Add how channels are reached; the command gets them as one ``reach``."""

    @click.option(
        "--channel",
        "ours",
        help="Our channel. Default: the feedstock's, or the "
        "one that armtorch itself was installed from.",
    )
    @click.option(
        "--channel-alias",
        "alias",
        envvar="CONDA_CHANNEL_ALIAS",
        help="Where channels are that have a name only. Default: the .condarc's channel_alias, or "
        f"conda's own, {ALIAS}.",
    )
    @click.option("--offline", is_flag=True, help="Use cached repodata; its age is shown.")
    @click.option(
        "--timeout",
        type=click.IntRange(min=1),
        default=TIMEOUT,
        show_default=True,
        help="Seconds that a channel may take to answer.",
    )
    @click.option(
        "--root",
        type=NamedPath(path_type=Path, exists=True, file_okay=False),
        help="Look at the system below this folder instead of this machine.",
    )
    @functools.wraps(command)
    def wrapped(
        *arguments: Any,
        ours: str | None,
        alias: str | None,
        offline: bool,
        timeout: int,
        root: Path | None,
        **options: Any,
    ) -> Any:
        reach = Reach(ours=ours, alias=alias, offline=offline, timeout=timeout, root=root)
        return command(*arguments, reach=reach, **options)

    return cast("_F", wrapped)
