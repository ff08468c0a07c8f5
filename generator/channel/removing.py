"""``retire`` and ``yank``: what goes from a destination, and what is only marked as gone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from generator.atomic import write_text
from generator.channel.hosted import HostedTarget
from generator.channel.patching import HOTFIXES, read_hotfixes, yank_text
from generator.channel.places import Opened
from generator.channel.retention import Retired
from generator.channel.retrying import Retries
from generator.channel.serving import Served
from generator.channel.sidecars import detach
from generator.channel.stores import Store
from generator.errors import AbsentError, DeclinedError
from generator.project import Project


def remove(
    project: Project, place: Opened, chosen: Sequence[Retired], *, confirmed: bool = False
) -> None:
    """Take packages away: first their records, then their files.

    A run that is killed in between leaves files without records, which the next one takes away.
    At a host the order is the host's own, and ``confirmed`` has to say that it is meant.
    Raises DeclinedError: it is a host, and not ``confirmed``; or the host says no.
    UnreachableError, StorageError: run it again.
    """
    records = [each.record for each in chosen]
    with project.narrator.task("removing", total=len(records)) as task:
        if place.store is not None:
            served = _served(project, place.store)
            keys = [record.key for record in records]
            served.withdraw(keys)
            detach(place.store, keys)
            for record in records:
                place.store.delete(record.key)
                task.advance(1)
            served.index()
            return
        if not confirmed:
            raise DeclinedError(
                f"{place.address.kind} deletes these {len(records)} packages for good",
                where=str(place.address),
                next_step="look at what --dry-run lists, then say --yes",
            )
        assert isinstance(place.target, HostedTarget)  # noqa: S101 - the only other kind
        for record in records:
            Retries().run(partial(place.target.delete, record), project.narrator.warn)
            task.advance(1)


def write_yank(project: Project, place: Opened | None, keys: Sequence[str], reason: str) -> Path:
    """Write the hotfix that marks builds removed; ``place`` is asked whether they are there.

    The file is to be committed: a later publication applies it everywhere.
    Raises AbsentError: the destination has no such package. SelectionError: the reason is too
    short.
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


def apply_hotfixes(project: Project, place: Opened) -> None:
    """Index a destination again with the hotfixes as they are now.

    Raises DeclinedError: the host makes its own repodata.
    """
    if place.store is None:
        raise DeclinedError(
            f"{place.address.kind} makes its own repodata, and takes no patches from here",
            where=str(place.address),
            next_step="use the host's own tool: at anaconda.org move the files to another label",
        )
    _served(project, place.store).index()


def _served(project: Project, store: Store) -> Served:
    hotfixes = read_hotfixes(project.root / HOTFIXES)
    return Served(store=store, hotfixes=hotfixes, narrator=project.narrator)
