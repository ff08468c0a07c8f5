"""The grid of cells: what our channel and others have of each, how late, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rattler import RepoDataRecord, Version

from generator.datafiles import subdirs
from generator.explaining.channels import Asked, Channels, State
from generator.explaining.facts import releases
from generator.explaining.records import accelerator_of, newest_first, pythons
from generator.matrix import is_called
from generator.model import Cell, Lock
from generator.packages import known_as, packages, projects

#: what cells are made of; libtorch and the metapackages come with them
_PACKAGES: Final = ("pytorch", "torchvision", "torchaudio")


@dataclass(frozen=True, kw_only=True)
class ChannelOffer:
    """What one channel has of a package in a cell; "" and () where it has nothing."""

    channel: str
    state: State
    version: str
    pythons: tuple[str, ...]
    #: the day of the first build of that version; "" where the records do not tell
    arrived: str
    #: from upstream's release of that version to that day
    lag_days: int | None


@dataclass(frozen=True, kw_only=True)
class CoverageRow:
    """One package of one cell."""

    subdir: str
    accelerator: str
    package: str
    #: the newest version that the lock has wheels of; "" for none
    upstream: str
    ours: ChannelOffer
    theirs: tuple[ChannelOffer, ...]
    #: what ours lacks, in plain words
    missing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """All of ``armtorch coverage``, and the data of the page."""

    ours: str
    against: tuple[str, ...]
    rows: tuple[CoverageRow, ...]


def coverage(channels: Channels, ours: str, against: Sequence[str], lock: Lock) -> Coverage:
    """Compare channels cell by cell; raises SelectionError for a channel's name that is none."""
    rows: list[CoverageRow] = []
    for subdir in subdirs():
        sources = channels.open((ours, *against), subdir)
        locked = [cell for cell in lock.cells if cell.subdir == subdir and cell.train == "stable"]
        beside = {
            package: {str(cell.accelerator) for cell in locked if is_called(package, cell, lock)}
            for package, row in packages().items()
            if row.companion and any(row.project in cell.fill for cell in locked)
        }
        have = {
            (source.name, package): _by_accelerator(
                # what other channels have has its own name
                channels.records(source, [subdir], package if source is sources[0] else known)
                if source.usable
                else ()
            )
            for source in sources
            for package in (*_PACKAGES, *beside)
            for known in (known_as(package),)
        }
        # a subdir that nobody has anything for is shown as one empty cell
        accelerators = {str(cell.accelerator) for cell in locked} | {
            name for found in have.values() for name in found
        } or {"cpu"}
        for accelerator in sorted(accelerators, key=lambda text: (text != "cpu", text)):
            for package in (
                *_PACKAGES,
                *(p for p, cells in beside.items() if accelerator in cells),
            ):
                offers = [
                    _offer(source, package, have[source.name, package].get(accelerator, []))
                    for source in sources
                ]
                upstream = _upstream(lock, subdir, accelerator, package)
                rows.append(
                    CoverageRow(
                        subdir=subdir,
                        accelerator=accelerator,
                        package=package,
                        upstream=upstream,
                        ours=offers[0],
                        theirs=tuple(offers[1:]),
                        missing=tuple(_missing(lock, subdir, accelerator, package, offers)),
                    )
                )
    return Coverage(ours=ours, against=tuple(against), rows=tuple(rows))


def _by_accelerator(records: Iterable[RepoDataRecord]) -> dict[str, list[RepoDataRecord]]:
    found: dict[str, list[RepoDataRecord]] = {}
    for record in records:
        found.setdefault(accelerator_of(record), []).append(record)
    return found


def _offer(source: Asked, package: str, records: Sequence[RepoDataRecord]) -> ChannelOffer:
    newest = newest_first(records)
    of_newest = [record for record in newest if record.version == newest[0].version]
    version = str(newest[0].version) if newest else ""
    # a record without a timestamp, or with 0, tells no day
    days = [record.timestamp.date() for record in of_newest if record.timestamp]
    released = releases().get(package, {}).get(version)
    # a day before the release is the wheel's own (decision D8), not the one it came to the channel
    arrived = min((day for day in days if released is None or day >= released), default=None)
    lag = (arrived - released).days if arrived and released else None
    return ChannelOffer(
        channel=source.name,
        state=source.state,
        version=version,
        pythons=pythons(of_newest),
        arrived=arrived.isoformat() if arrived else "",
        lag_days=lag,
    )


def _upstream(lock: Lock, subdir: str, accelerator: str, package: str) -> str:
    project = projects()[package]
    found = [
        cell.versions[project]
        for cell in lock.cells
        if (cell.subdir, str(cell.accelerator)) == (subdir, accelerator)
        and project in cell.versions
    ]
    return max(found, key=_order, default="")


def _missing(
    lock: Lock, subdir: str, accelerator: str, package: str, offers: Sequence[ChannelOffer]
) -> Iterable[str]:
    ours, theirs = offers[0], offers[1:]
    if ours.state not in {"answered", "cached"}:
        yield f"{ours.channel} is {ours.state}"
        return
    upstream = _upstream(lock, subdir, accelerator, package)
    if upstream and _order(ours.version) < _order(upstream):
        yield f"{upstream}, which upstream has"
    newest = max(theirs, key=lambda offer: _order(offer.version), default=None)
    if newest and _order(newest.version) > max(_order(ours.version), _order(upstream)):
        yield f"{newest.version}, which {newest.channel} has"
    cells = [
        cell
        for cell in lock.cells
        if (cell.subdir, str(cell.accelerator)) == (subdir, accelerator)
        and ours.version in {wheel.version for wheel in cell.wheels_of(projects()[package])}
    ]
    wheels = {
        str(wheel.python)
        for cell in cells
        for wheel in cell.wheels_of(projects()[package])
        if wheel.python is not None
    }
    if lacking := sorted(wheels - set(ours.pythons)):
        yield f"Python {' '.join(lacking)}"
    for name, held in lock.all_held():
        if held.project == projects()[package] and _is_of(name, subdir, accelerator):
            yield f"{name}: {held.subject} is held back since {held.since}: {held.reason}"
    yield from _silent(cells)
    for cell in cells or [c for c in lock.cells if c.subdir == subdir and not ours.version]:
        if str(cell.accelerator) == accelerator:
            for row in cell.absent:
                if row.package == known_as(package) and not row.python:
                    yield f"{cell.line}: {row.reason}: {row.detail}"


def _silent(cells: Iterable[Cell]) -> Iterator[str]:
    """Say of which cells upstream could not be asked for newer ones."""
    for cell in cells:
        for index in cell.behind:
            yield f"{cell.line}: {index}, which may have a newer one, does not answer"
        if cell.unreachable_since:
            yield f"{cell.line}: an index of it does not answer since {cell.unreachable_since}"


def _is_of(name: str, subdir: str, accelerator: str) -> bool:
    """Whether a cell or a place of the feedstock, by its name, is one of a row's."""
    _, where, what = name.split("/")
    any_cuda = what == "cuda" and accelerator.startswith("cuda") and "tegra" not in accelerator
    return where == subdir and (what == accelerator or any_cuda)


def _order(version: str) -> Version:
    return Version(version or "0")
