"""What may go: older versions of a train, builds that newer ones replaced; never what is needed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from packaging.version import InvalidVersion, Version

from generator.channel.repodata import Record
from generator.model import Keep, PythonBuild, Retention
from generator.model.accelerator import accelerator_of
from generator.model.cell import TrainName

#: ``py312`` in a build string, conda-forge's way; libtorch of a free-threaded one has ``py313t``
_PYTHON = re.compile(r"(?:^|_)py(\d{2,3}t?)(?:_|$)")

#: package, subdir, accelerator, Python and train: what a person asks for
Series = tuple[str, str, str, str, TrainName]


@dataclass(frozen=True, kw_only=True)
class Retired:
    """A package that may go, and why."""

    record: Record
    reason: str


def train_of(version: str) -> TrainName:
    """Tell the train by the version, as upstream numbers it (PEP 440).

    >>> train_of("2.16.0.dev20261101"), train_of("2.16.0rc3"), train_of("2.15.0")
    ('nightly', 'rc', 'stable')
    """
    parsed = _parsed(version)
    if parsed is None:
        return "stable"
    if parsed.is_devrelease:
        return "nightly"
    return "rc" if parsed.is_prerelease else "stable"


def series_of(record: Record) -> Series:
    """Return what a package is one version of."""
    python = _PYTHON.search(record.build)
    return (
        record.name,
        record.subdir,
        # of a metapackage each version is something else to ask for: pytorch-cuda 13.0 and 13.2
        record.version
        if record.subdir == "noarch"
        else accelerator_of(record.build, record.depends),
        # 3.14 and 3.14t share py314 in the build string and differ in what they need
        (python[1] if python else "") + ("t" if _free_threaded(record) else ""),
        train_of(record.version),
    )


def retire(
    records: Sequence[Record],
    retention: Retention,
    now: datetime,
    *,
    pinned: Iterable[str] = (),
    train: TrainName | None = None,
) -> tuple[Retired, ...]:
    """Choose what may go, sorted by place in the channel.

    The newest build of each series stays whatever its age, as does everything that a package
    which stays needs. ``pinned`` are keys that stay whatever the policy says. ``train`` is the one
    that all of them are of, where their versions do not tell: upstream's candidates are called as
    the release will be.
    """
    reasons: dict[str, str] = {}
    for series, members in _grouped(records).items():
        keep = retention.keep.get(train or series[-1], Keep())
        for record, reason in _beyond(members, keep, now):
            reasons[record.key] = reason
    for key in pinned:
        reasons.pop(key, None)
    by_key = {record.key: record for record in records}
    kept = [record for record in records if record.key not in reasons]
    for needed in _needed(kept, [by_key[key] for key in reasons]):
        reasons.pop(needed.key, None)
    return tuple(Retired(record=by_key[key], reason=reasons[key]) for key in sorted(reasons))


def _grouped(records: Iterable[Record]) -> dict[Series, list[Record]]:
    found: dict[Series, list[Record]] = defaultdict(list)
    for record in records:
        found[series_of(record)].append(record)
    return found


def _beyond(members: list[Record], keep: Keep, now: datetime) -> Iterator[tuple[Record, str]]:
    """Name the members of one series that its limits do not cover; never the newest."""
    ordered = sorted(members, key=newest_first, reverse=True)
    versions = list(dict.fromkeys(record.version for record in ordered))
    for record in ordered[1:]:
        rank = versions.index(record.version)
        newer = sum(
            other.version == record.version and newest_first(other) > newest_first(record)
            for other in ordered
        )
        made = datetime.fromtimestamp(record.timestamp / 1000, tz=now.tzinfo)
        if keep.versions is not None and rank >= keep.versions:
            yield record, f"{rank} newer versions, and {keep.versions} are kept"
        elif keep.days is not None and record.timestamp and now - made > timedelta(days=keep.days):
            yield record, f"{(now - made).days} days old, and {keep.days} are kept"
        elif keep.builds is not None and newer >= keep.builds:
            yield record, f"{newer} newer builds of this version, and {keep.builds} are kept"


def newest_first(record: Record) -> tuple[Version, int, int]:
    """Return what records are ordered by: version, build number, time."""
    return _parsed(record.version) or Version("0"), record.build_number, record.timestamp


@lru_cache(maxsize=4096)  # many packages have the same
def _parsed(version: str) -> Version | None:
    try:
        return Version(version)
    except InvalidVersion:
        return None


def _needed(kept: list[Record], going: list[Record]) -> list[Record]:
    """Return what has to stay since something that stays would not be installable without it."""
    names: dict[str, list[Record]] = defaultdict(list)
    for record in (*kept, *going):
        names[record.name].append(record)
    leaving = {record.key for record in going}
    queue, stays = list(kept), []
    while queue:
        record = queue.pop()
        for name in dict.fromkeys(spec.split(" ", 1)[0] for spec in record.depends):
            candidates = names.get(name, [])
            if not any(candidate.key in leaving for candidate in candidates):
                continue
            for wanted in record.needs(name):
                fitting = [each for each in candidates if each.fits(wanted)]
                if not fitting or any(each.key not in leaving for each in fitting):
                    continue
                best = max(fitting, key=newest_first)
                leaving.remove(best.key)
                stays.append(best)
                queue.append(best)
    return stays


def _free_threaded(record: Record) -> bool:
    python = PythonBuild.of_depends(record.depends)
    return python is not None and python.freethreading
