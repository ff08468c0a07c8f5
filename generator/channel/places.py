"""A destination by its name in feedstock.yaml or by its address, opened."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from generator.channel.destinations import Address, parse_destination
from generator.channel.hosted import HostedTarget
from generator.channel.local import LocalChannel
from generator.channel.patching import PACKAGE
from generator.channel.repodata import Record
from generator.channel.s3 import S3Store
from generator.channel.s3_access import s3_access
from generator.channel.stores import FolderStore, Store, Target, records
from generator.datafiles import subdirs
from generator.errors import SelectionError, StorageError
from generator.feedstock import Destination
from generator.model import Retention
from generator.model.cell import TrainName
from generator.project import Project
from generator.urls import local_path


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An opened destination: its address, its policy, and the way to its files."""

    address: Address
    #: as ``--label`` or feedstock.yaml says
    label: str
    #: whose packages a label has; None where the versions tell
    train: TrainName | None
    budget: int | None
    retention: Retention
    target: Target
    #: None where the host keeps the files and indexes them itself
    store: Store | None

    def records(self) -> tuple[Record, ...]:
        """Return what is there, before hotfixes."""
        if self.store is None:
            assert isinstance(self.target, HostedTarget)  # noqa: S101 - the only other kind
            return self.target.records()
        found = self.store.subdirs()
        return tuple(
            each for name in found for each in records(self.store, name) if each.name != PACKAGE
        )


#: a URL, or a path that nobody takes for another address: `prefix.dev/me` is no folder
_ADDRESS: Final = re.compile(r"[a-z0-9+]+://|file:|[./\\~]|[a-z]:[/\\]", re.IGNORECASE)


def open_place(project: Project, to: str, label: str = "", *, main: bool = False) -> Opened:
    """Find a destination by its name in feedstock.yaml, or by its address.

    ``main`` is the channel itself, whatever label feedstock.yaml declares for it.
    Raises FeedstockError: feedstock.yaml cannot be used. SelectionError: no such destination.
    DeclinedError: there are no credentials for it.
    """
    feedstock, to = project.declared(), to.strip()
    named = feedstock.destinations
    if to not in named and not (_ADDRESS.match(to) or (to and Path(to).is_dir())):
        raise SelectionError(
            f"feedstock.yaml has no destination {to!r}, and it is no folder that is there",
            where="--to",
            next_step=f"use one of: {', '.join(named) or 'none is declared'}; or write an address, "
            f"./{to} for a folder",
        )
    declared = named.get(to, Destination(to=to))
    chosen = "" if main else label or declared.label
    # what is declared of the same place and label, by whatever name or address it is asked for
    same = (declared.to.rstrip("/"), chosen)
    rows = (each for each in named.values() if (each.to.rstrip("/"), each.label) == same)
    declared = next(rows, declared)
    if _is_file(declared.to):
        raise StorageError(
            "there is a file, where the channel's folder would be",
            where=declared.to,
            next_step="name a folder",
        )
    address = parse_destination(declared.to, label=chosen)
    target, store = _opened(project, address)
    return Opened(
        address=address,
        label=chosen,
        train=next(
            (name for name in get_args(TrainName) if chosen and feedstock.label(name) == chosen),
            None,
        ),
        budget=declared.budget if declared.budget is not None else address.host.files,
        retention=declared.retention,
        target=target,
        store=store,
    )


def _is_file(to: str) -> bool:
    path = local_path(to) if "://" in to or to.startswith("file:") else Path(to)
    return path is not None and path.is_file()


def _opened(project: Project, address: Address) -> tuple[Target, Store | None]:
    if address.kind == "folder":
        folder = FolderStore(LocalChannel(Path(address.server)))
        return folder, folder
    if address.kind == "s3":
        bucket = address.server.removeprefix("s3://")
        access = s3_access(bucket, project.environment)
        objects = S3Store(bucket, address.channel, access)
        return objects, objects
    hosted = HostedTarget(
        address=address, subdirs=(*subdirs(), "noarch"), environment=project.environment
    )
    return hosted, None
