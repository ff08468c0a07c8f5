"""What upstream may do next, as data: futures.yaml made into wheels on an index.

Each future begins with a day on which everything was sound and locked. What upstream does after
that is made of synthetic wheels, which are derived from the RECORDs of real ones (shapes.yaml).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter
from ruamel.yaml import YAML

from tests.synthetic_wheels import Release, TinyWheel
from tests.synthetic_wheels.elf import elf

_CLOSED = ConfigDict(extra="forbid", frozen=True)
_TRIO = ("torch", "torchvision", "torchaudio")
#: what every future starts from
BEFORE = Release(subdir="linux-aarch64", torch="2.16.0", torchvision="0.31.0", torchaudio="2.16.0")
_PYTHONS = ("cp312", "cp313")


class Change(BaseModel):
    """What is unusual about the wheels of one project."""

    model_config = _CLOSED

    #: only the wheels for these Pythons
    only: tuple[str, ...] = ()
    #: regular expression over member paths -> replacement
    rename: Mapping[str, str] = {}
    #: member -> its text; ``ELF`` alone is a library that needs nothing
    add: Mapping[str, str] = {}
    #: regular expressions over member paths
    remove: tuple[str, ...] = ()
    #: member -> {text: other text}
    replace: Mapping[str, Mapping[str, str]] = {}
    #: what Requires-Dist has no more (by the beginning of the line), and what it has beside
    drop_requires: tuple[str, ...] = ()
    add_requires: tuple[str, ...] = ()
    requires_python: str = ""
    #: beginning of a line of METADATA -> the line in its place; "" takes it away
    metadata: Mapping[str, str] = {}
    #: lines that METADATA has beside
    add_metadata: tuple[str, ...] = ()
    #: whole tag of the file name, PEP 425, with {python} and {abi}
    tag: str = ""
    #: build tag
    build: str = ""
    #: replaces RECORD whole
    record: str | None = None


class Upstream(BaseModel):
    """What upstream does on one day."""

    model_config = _CLOSED

    subdir: str = "linux-aarch64"
    accelerator: str = "cpu"
    #: the torch that companions are for; the one that is published, where it is not said
    for_torch: str = ""
    #: project -> version that is published
    release: Mapping[str, str] = {}
    pythons: tuple[str, ...] = _PYTHONS
    #: projects with one wheel for all Pythons
    any_python: frozenset[str] = frozenset()
    #: ``code``: the Pythons' libtorch differ beyond what rules forgive
    differs: frozenset[Literal["build-id", "build-path", "code"]] = frozenset({"build-id"})
    #: platform tag
    tag: str = ""
    glibc: str = ""
    change: Mapping[str, Change] = {}
    #: project -> ending of the file name that is used instead, ``.whl`` included; {name} is the
    #: name without ``.whl``
    file_name: Mapping[str, str] = {}
    #: globs over file names -> reason
    yank: Mapping[str, str] = {}
    #: globs over file names
    withdraw: tuple[str, ...] = ()
    #: globs over file names that are listed and not there
    lose: tuple[str, ...] = ()


class Future(BaseModel):
    """One row of futures.yaml."""

    model_config = _CLOSED

    name: str
    #: what a day brings; `armtorch release` runs after each
    days: tuple[Upstream, ...]
    #: where it happens: what was there before
    cell: Literal["cpu", "cuda", "osx"] = "cpu"
    #: cell -> project -> version, and ``pythons``
    served: Mapping[str, Mapping[str, str]]
    #: beginnings of what the lock says is held back, ``torch 2.17.0: layout``
    held: tuple[str, ...] = ()
    #: regular expressions over what `armtorch matrix` prints
    said: tuple[str, ...] = ()
    #: glob over recipes/ -> regular expressions over the text of each that it matches
    rendered: Mapping[str, tuple[str, ...]] = {}
    why: str = ""


@cache
def futures() -> tuple[Future, ...]:
    """Read futures.yaml."""
    path = Path(__file__).with_name("futures.yaml")
    rows = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    return tuple(TypeAdapter(list[Future]).validate_python(rows))


def before(cell: str) -> list[TinyWheel]:
    """The wheels that were there before a future begins."""
    projects: tuple[str, ...] = _TRIO
    release = BEFORE
    if cell == "cuda":
        release = replace(BEFORE, accelerator="cuda130", triton="3.10.0")
        projects = (*_TRIO, "triton")
    elif cell == "osx":
        release = replace(BEFORE, subdir="osx-arm64")
    return release.wheels(_PYTHONS, projects)


def published(day: Upstream) -> list[TinyWheel]:
    """Make the wheels of a day."""
    release = Release(
        subdir=day.subdir,
        torch=day.for_torch or day.release.get("torch", BEFORE.torch),
        torchvision=day.release.get("torchvision", BEFORE.torchvision),
        torchaudio=day.release.get("torchaudio", BEFORE.torchaudio),
        triton=day.release.get("triton", "3.10.0"),
        accelerator=day.accelerator,
        any_python=day.any_python,
        differs=day.differs,
        tag=day.tag,
        glibc=day.glibc,
    )
    return [
        _changed(release.wheel(project, abi), abi, day.change.get(project))
        for project in day.release
        for abi in (day.pythons[:1] if project in day.any_python else day.pythons)
    ]


def _changed(wheel: TinyWheel, abi: str, change: Change | None) -> TinyWheel:
    if change is None or (change.only and abi not in change.only):
        return wheel
    members = {
        _renamed(path, change.rename): _replaced(content, change.replace.get(path, {}))
        for path, content in wheel.members.items()
        if not any(re.fullmatch(each, path) for each in change.remove)
    }
    members |= {
        path: elf(body=path.encode()) if text == "ELF" else text.encode()
        for path, text in change.add.items()
    }
    requires = [r for r in wheel.requires if not r.startswith(change.drop_requires or ("\0",))]
    made = replace(
        wheel,
        members=members,
        requires=[*requires, *change.add_requires],
        requires_python=change.requires_python or wheel.requires_python,
        tag=change.tag.format(python=abi.removesuffix("t"), abi=abi) or wheel.tag,
        build=change.build,
        record=None if change.record is None else change.record.encode(),
    )
    if change.metadata or change.add_metadata:
        made = replace(made, metadata=_metadata(made.metadata_bytes().decode(), change))
    return made


def _renamed(path: str, names: Mapping[str, str]) -> str:
    for pattern, other in names.items():
        path = re.sub(pattern, other, path)
    return path


def _replaced(content: bytes, texts: Mapping[str, str]) -> bytes:
    for text, other in texts.items():
        assert text.encode() in content, text
        content = content.replace(text.encode(), other.encode())
    return content


def _metadata(text: str, change: Change) -> bytes:
    head, blank, description = text.partition("\n\n")
    lines = head.splitlines()
    for start, other in change.metadata.items():
        assert any(line.startswith(start) for line in lines), start
        lines = [other if line.startswith(start) else line for line in lines]
    lines = [line for line in lines if line] + list(change.add_metadata)
    return ("\n".join(lines) + blank + description).encode()
