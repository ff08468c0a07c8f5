"""``retire`` and ``yank``: what goes from a destination, and what is only marked as gone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from generator.atomic import write_text
from generator.channel.patching import HOTFIXES, read_hotfixes, yank_text
from generator.channel.retention import Retired
from generator.channel.serving import Served
from generator.errors import AbsentError, RefusedError
from generator.stages.project import Project
from generator.stages.publishing import Place


def remove(project: Project, place: Place, chosen: Sequence[Retired]) -> None:
    """Take packages away: first their records, then their files.

    A run that is killed in between leaves files without records, which the next one takes away.

    Raises:
        RefusedError: the host keeps the files, and takes them away by its own tools only.
        UnreachableError, StorageError: run it again.

    """
    if place.store is None:
        raise RefusedError(
            f"{place.address.kind} deletes packages by its own tools only",
            where=str(place.address),
            next_step="remove what `armtorch retire --dry-run --json` lists there",
        )
    keys = [each.record.key for each in chosen]
    served = Served(store=place.store, hotfixes=read_hotfixes(project.root / HOTFIXES))
    served.withdraw(keys)
    with project.narrator.task("removing", total=len(keys)) as task:
        for key in keys:
            place.store.delete(key)
            task.advance(1)
    served.index()


def write_yank(project: Project, place: Place | None, keys: Sequence[str], reason: str) -> Path:
    """Write the hotfix that marks builds removed; ``place`` is asked whether they are there.

    Returns:
        The file, to be committed: a later publication applies it everywhere.

    Raises:
        AbsentError: the destination has no such package. SelectionError: the reason is too short.

    """
    text = yank_text(keys, reason)
    if place is not None:
        there = place.target.packages()
        for key in keys:
            if key not in there:
                raise AbsentError(
                    f"it has no {key}",
                    where=str(place.address),
                    next_step="name packages as <subdir>/<file name>",
                )
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = project.root / HOTFIXES / f"yank-{digest}.yaml"
    write_text(path, text)
    return path


def apply_hotfixes(project: Project, place: Place) -> None:
    """Index a destination again with the hotfixes as they are now.

    Raises:
        RefusedError: the host makes its own repodata.

    """
    if place.store is None:
        raise RefusedError(
            f"{place.address.kind} makes its own repodata, and takes no patches from here",
            where=str(place.address),
            next_step="use the host's own tool: at anaconda.org move the files to another label",
        )
    Served(store=place.store, hotfixes=read_hotfixes(project.root / HOTFIXES)).index()
