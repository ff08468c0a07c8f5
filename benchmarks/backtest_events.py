"""The releases of the past, and what a cell could have had after each of them."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.utils import parse_wheel_filename
from packaging.version import Version
from ruamel.yaml import YAML

from benchmarks.past_index import RealIndex, moment
from generator.datafiles import subdirs

PROJECTS: Final = ("torch", "torchvision", "torchaudio", "triton")
#: the day of torch 2.0.0
SINCE: Final = dt.datetime(2023, 3, 15, tzinfo=dt.UTC)
#: wheels that come later than this after the last one are an event of their own
_PAUSE: Final = dt.timedelta(hours=1)
#: torch's first release whose wheels for linux-aarch64 are CUDA builds
_CUDA_SINCE: Final = Version("2.11")
_SUBDIRS: Final = ("linux-aarch64", "osx-arm64")
#: what the backtest's feedstock asks for: subdir and accelerator
CELLS: Final = (("linux-aarch64", "cpu"), ("linux-aarch64", "cuda"), ("osx-arm64", "cpu"))


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One ARM wheel of the past."""

    project: str
    version: Version
    filename: str
    subdir: str
    when: dt.datetime
    yanked: bool


@dataclass(frozen=True, kw_only=True)
class Event:
    """A release, or wheels that were added to one later."""

    project: str
    version: str
    #: when its last wheel was there
    when: dt.datetime
    subdirs: tuple[str, ...]
    wheels: int
    #: 0 for the release, 1 ... for later additions
    addition: int

    @property
    def name(self) -> str:
        added = f" ({self.wheels} more wheels)" if self.addition else ""
        return f"{self.project} {self.version}{added}"


def uploads(real: RealIndex) -> tuple[Upload, ...]:
    """Return every wheel of the four projects that serves one of the two subdirs."""
    return tuple(
        found
        for project in PROJECTS
        for row in real.page(project)["files"]
        for found in _read(project, row)
    )


def _read(project: str, row: Mapping[str, Any]) -> Iterable[Upload]:
    if not row["filename"].endswith(".whl") or not row.get("upload-time"):
        return
    _, version, _, tags = parse_wheel_filename(row["filename"])
    for subdir in _SUBDIRS:
        wanted = "|".join(subdirs()[subdir].wheel_platforms)
        if any(re.fullmatch(wanted, tag.platform) for tag in tags):
            yield Upload(
                project=project,
                version=version,
                filename=row["filename"],
                subdir=subdir,
                when=moment(row["upload-time"]),
                yanked=bool(row.get("yanked")),
            )


def events(found: Iterable[Upload], since: dt.datetime = SINCE) -> tuple[Event, ...]:
    """Return the events from ``since`` on, in the order of time."""
    rows: list[Event] = []
    ordered = sorted(found, key=lambda u: (u.project, u.version, u.when))
    for (project, version), group in itertools.groupby(
        ordered, key=lambda u: (u.project, u.version)
    ):
        bursts: list[list[Upload]] = []
        for upload in group:
            if not bursts or upload.when - bursts[-1][-1].when > _PAUSE:
                bursts.append([])
            bursts[-1].append(upload)
        rows += [
            Event(
                project=project,
                version=str(version),
                when=burst[-1].when,
                subdirs=tuple(sorted({u.subdir for u in burst})),
                wheels=len({u.filename for u in burst}),
                addition=number,
            )
            for number, burst in enumerate(bursts)
        ]
    return tuple(sorted((r for r in rows if r.when >= since), key=lambda r: r.when))


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What upstream had for a cell: newest torch, and for each project what goes with it."""

    torch: str
    #: project -> versions that are right, best first; empty where the index had none
    companions: Mapping[str, tuple[str, ...]]
    #: project -> Pythons (``cp312``; ``py3``) of the best version's wheels
    pythons: Mapping[str, frozenset[str]]


def pairs() -> dict[str, dict[str, list[str]]]:
    """Read pairs.yaml."""
    table = YAML(typ="safe", pure=True)
    found = table.load(Path(__file__).with_name("pairs.yaml").read_text(encoding="utf-8"))
    return {str(torch): row for torch, row in found.items()}


def expected(
    found: Iterable[Upload], subdir: str, accelerator: str, now: dt.datetime
) -> Expected | None:
    """Return what a cell could have then; None where upstream had no torch from 2.0 on for it."""
    there = [u for u in found if u.subdir == subdir and u.when <= now and not u.yanked]
    torches = {
        u.version
        for u in there
        if u.project == "torch"
        and u.version.major >= 2
        and (subdir != "linux-aarch64" or (u.version >= _CUDA_SINCE) == (accelerator == "cuda"))
    }
    if not torches:
        return None
    torch = max(torches)
    row = pairs().get(str(torch), {})
    companions, pythons = {}, {"torch": _pythons(there, "torch", str(torch))}
    for project in ("torchvision", "torchaudio"):
        versions = {str(u.version) for u in there if u.project == project}
        companions[project] = tuple(v for v in row.get(project, []) if v in versions)
        if companions[project]:
            pythons[project] = _pythons(there, project, companions[project][0])
    return Expected(torch=str(torch), companions=companions, pythons=pythons)


def _pythons(there: Iterable[Upload], project: str, version: str) -> frozenset[str]:
    tags = {
        tag
        for u in there
        if u.project == project and str(u.version) == version
        for tag in parse_wheel_filename(u.filename)[3]
    }
    return frozenset(tag.interpreter if tag.abi == "none" else tag.abi for tag in tags)
