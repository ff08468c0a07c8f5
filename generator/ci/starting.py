"""``init``: the files of a channel's own repository, and later a newer armtorch's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Literal

from generator import atomic
from generator.channel.destinations import parse_destination
from generator.ci.hashed_requirements import hashed_requirements
from generator.ci.own_source import own_requirements, own_source
from generator.datafiles import load_data
from generator.errors import FeedstockError, SelectionError, StorageError
from generator.feedstock import IndexSource, Policies, parse_feedstock, schema_text
from generator.feedstock.declaration import AcceleratorWish, SubdirName
from generator.model.cell import TrainName
from generator.model.closed import Closed
from generator.project import Project
from generator.rendering import (
    ARMTORCH,
    DEPENDENCIES,
    is_untouched,
    refuse_links,
    templates,
    workflow_files,
)
from generator.upstream.reaching import reached, wheel_reader

_SCHEMA: Final = ".ci/armtorch/feedstock.schema.json"
#: what is the same in every channel's repository, by where it lies in templates/channel
_FILES: Final = {".gitignore": "gitignore", ".gitattributes": "gitattributes"}

#: new: it was missing. renewed: an older armtorch's. kept: a person's, whatever it says
Action = Literal["new", "renewed", "same", "kept"]


@dataclass(frozen=True, kw_only=True)
class OwnIndex(Closed):
    """An index for one accelerator on one subdir."""

    name: str
    kind: Literal["simple", "devpi"]
    url: str
    glibc: str = ""


@dataclass(frozen=True, kw_only=True)
class Offered(Closed):
    """The whole of data/starting.yaml."""

    format: Literal[1]
    #: subdir -> accelerators, unless it is asked for more
    subdirs: dict[SubdirName, tuple[AcceleratorWish, ...]]
    others: tuple[SubdirName, ...]
    cuda: tuple[SubdirName, ...]
    #: train -> the address above its indexes
    trains: dict[TrainName, str]
    #: train -> how the names of its indexes begin
    names: dict[TrainName, str]
    #: subdir and accelerator -> the one index that has it
    more: dict[SubdirName, dict[AcceleratorWish, OwnIndex]]
    #: subdir -> what is to be known of its base channels
    bases: dict[SubdirName, str]


@cache
def offered() -> Offered:
    """Read data/starting.yaml; DataError when it does not fit."""
    return load_data("starting.yaml", Offered)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a channel is to be, as it is asked for at the beginning."""

    channel: str
    #: what `publish --to` takes; "" where that comes later
    to: str = ""
    #: the address of its feedstock, for example on GitHub; "" where that comes later
    repository: str = ""
    maintainers: tuple[str, ...] = ()
    subdirs: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()
    #: none: all that upstream has
    pythons: tuple[str, ...] = ()
    trains: tuple[str, ...] = ()
    ci: Literal["github", "gitlab"] = "github"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One file, and what becomes of it."""

    path: str
    action: Action
    content: bytes = field(repr=False)


def plan_start(
    project: Project, wishes: Wishes | None, *, armtorch: str = "", upgrade: bool = False
) -> tuple[Planned, ...]:
    """Say which files a channel's repository lacks, and with ``upgrade`` which are an older one's.

    Nothing of a person's is ever replaced: feedstock.yaml, README.md and git's files are written
    where they are missing, and workflows are renewed where they are as armtorch wrote them.
    ``wishes`` are what feedstock.yaml is to say, None where it is there. ``armtorch`` is what
    workflows install, "" for where this armtorch came from.
    Raises FeedstockError: feedstock.yaml cannot be used, or there is none to upgrade.
    SelectionError: a wish is none that can be had, or armtorch none that can be installed.
    AbsentError, UnreachableError, MalformedError: of the index that pip is configured to use.
    """
    there = project.feedstock.is_file()
    if not there and (upgrade or wishes is None):
        raise FeedstockError(
            "there is no channel here yet",
            where=str(project.root),
            next_step="begin with armtorch init --channel NAME",
        )
    own = {} if wishes is None else _own_files(wishes)
    try:
        feedstock = project.declared() if there else parse_feedstock(own["feedstock.yaml"], "")
    except FeedstockError as error:
        if there:
            raise
        raise FeedstockError(
            re.sub(r"\bline \d+: ", "", error.what),
            where="what was asked for",
            next_step="say it otherwise: armtorch init --help; nothing was written",
        ) from error
    if feedstock.armtorch == "checkout":
        raise FeedstockError(
            "says armtorch: checkout, so its workflows install what is in this repository",
            where=str(project.feedstock),
            next_step="say armtorch: pinned, or leave the workflows to armtorch render",
        )
    found = [
        _renewed(project.root, path, content, upgrade=False, ours=is_untouched)
        for path, content in own.items()
    ]
    for path, content in workflow_files(feedstock).items():
        found.append(_renewed(project.root, path, content, upgrade=upgrade, ours=is_untouched))
    needs_pin = upgrade or not (project.root / ARMTORCH).is_file()
    pins = _pins(project, armtorch) if needs_pin else {}
    for path, content in {**pins, _SCHEMA: schema_text().encode("utf-8")}.items():
        found.append(_renewed(project.root, path, content, upgrade=upgrade, ours=_any))
    return tuple(sorted(found, key=lambda each: each.path))


def write_start(project: Project, planned: Iterable[Planned]) -> None:
    """Write what is new or renewed; raises StorageError, before anything where a link leads out."""
    files = [each for each in planned if each.action in {"new", "renewed"}]
    refuse_links([each.path for each in files], project.root)
    for each in files:
        atomic.write_bytes(project.root / each.path, each.content)


def _any(_: bytes) -> bool:
    return True


def _renewed(
    root: Path, path: str, content: bytes, *, upgrade: bool, ours: Callable[[bytes], bool]
) -> Planned:
    place = root / path
    for step in (own := Path(path), *own.parents):
        if (there := root / step).exists() and there.is_dir() is (step == own):
            found, wanted = ("folder", "file") if step == own else ("file", "folder")
            raise StorageError(
                f"there is a {found}, where a {wanted} of the channel's repository would be",
                where=str(there),
                next_step="move it away, or begin in another folder",
            )
    if not place.exists():
        return Planned(path=path, action="new", content=content)
    before = place.read_bytes()
    if before == content:
        return Planned(path=path, action="same", content=content)
    action: Action = "renewed" if upgrade and ours(before) else "kept"
    return Planned(path=path, action=action, content=content)


def _own_files(wishes: Wishes) -> dict[str, bytes]:
    """Render what is a person's from then on."""
    rows = offered()
    subdirs = _accelerators(wishes)
    cuda = {each for name in rows.cuda for each in subdirs.get(name, ())}
    lines = [each.replace("cuda", "cu") for each in sorted(cuda) if each[4:].isdigit()]
    if cuda & {"cuda", "cuda*"}:
        lines = ["cu*"]
    trains = wishes.trains or ("stable",)
    if unknown := set(trains) - {*rows.trains}:
        raise SelectionError(
            f"{', '.join(sorted(unknown))}: there is no such train",
            where="--train",
            next_step=f"take some of: {', '.join(rows.trains)}",
        )
    indexes = {
        train: {f"{rows.names[train]}-{folder}": f"{url}/{folder}" for folder in ("cpu", *lines)}
        for train, url in rows.trains.items()
        if train in trains
    }
    address = parse_destination(wishes.to) if wishes.to else None
    facts = {
        "channel": wishes.channel,
        "to": wishes.to,
        "repository": wishes.repository,
        "ci": wishes.ci,
        "maintainers": wishes.maintainers or (_owner(wishes.channel),),
        "subdirs": subdirs,
        "pythons": wishes.pythons,
        "trains": trains,
        "indexes": indexes,
        "more": [
            (subdir, accelerator, row)
            for subdir, accelerators in rows.more.items()
            for accelerator, row in accelerators.items()
            if accelerator in subdirs.get(subdir, ()) and "stable" in trains
        ],
        "bases": rows.bases,
        # repacked for Linux
        "cuda": bool(cuda - {"cpu"}),
        "host": "" if address is None else address.kind,
        "variable": "" if address is None else address.host.variable,
        "destination": f"`{wishes.to}`" if wishes.to else "what `armtorch publish --to` takes",
    }
    made = {
        name: templates.environment("channel").get_template(f"{name}.jinja").render(facts)
        for name in ("feedstock.yaml", "README.md")
    }
    files = {name: text.encode("utf-8") for name, text in made.items()}
    return files | {path: templates.read(f"channel/{name}") for path, name in _FILES.items()}


def _accelerators(wishes: Wishes) -> dict[str, list[str]]:
    """Return the subdirs that are asked for, each with those accelerators that it can have."""
    rows = offered()
    subdirs = {
        name: [
            each
            for each in accelerators
            if each == "cpu" or name in rows.cuda or each in rows.more.get(_subdir(name), {})
        ]
        for name in wishes.subdirs or tuple(rows.subdirs)
        if (accelerators := wishes.accelerators or rows.subdirs.get(_subdir(name), ("cpu",)))
    }
    if not wishes.subdirs and any(subdirs.values()):
        subdirs = {name: accelerators for name, accelerators in subdirs.items() if accelerators}
    if empty := [name for name, accelerators in subdirs.items() if not accelerators]:
        raise SelectionError(
            f"upstream has no wheels for {', '.join(wishes.accelerators)} on {', '.join(empty)}",
            where="--accelerator",
            next_step="add cpu, or leave that subdir out",
        )
    return subdirs


def _owner(channel: str) -> str:
    """Return a name for the maintainers: the channel's, which often is its owner's."""
    name = re.sub(r"[^A-Za-z0-9-]+", "-", channel.rstrip("/").rpartition("/")[2]).strip("-")
    return name or "maintainer"


def _subdir(name: str) -> SubdirName:
    rows = offered()
    for known in (*rows.subdirs, *rows.others):
        if known == name:
            return known
    raise SelectionError(
        f"{name!r} is no subdir that armtorch serves",
        where="--subdir",
        next_step=f"take some of: {', '.join((*rows.subdirs, *rows.others))}",
    )


def _pins(project: Project, armtorch: str) -> dict[str, bytes]:
    """Return what pip needs to install armtorch and all that it needs, by hash."""
    name = "pip's index"
    with reached(project, {name: IndexSource(kind="pip")}) as (web, indexes):
        index, reader = indexes[name], wheel_reader(project, web, Policies())
        own = own_source(armtorch, index)
        needed = hashed_requirements(
            (*own.builds_with, *own_requirements()),
            index,
            lambda offer: reader.metadata(offer).metadata.requires_dist,
        )
    return {
        ARMTORCH: own.requirement.encode("utf-8"),
        DEPENDENCIES: needed.encode("utf-8"),
        **own.files,
    }
