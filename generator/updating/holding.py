"""Takes the release that serves most of those that fit, and says which newer ones are held back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import replace

from generator.documents import limits
from generator.model.cell import Cell, HeldCell, Lock
from generator.model.held import Finding, Held
from generator.model.python_build import PythonBuild
from generator.updating.catalogue import Release
from generator.updating.judging import Bench, Prospect
from generator.updating.wishes import Wish
from generator.upstream.offers import Offer

#: a release and what speaks against it
Refused = tuple[Release, tuple[Finding, ...]]


def take_best(
    releases: Iterator[Release],
    refused: list[Refused],
    prospect_of: Callable[[Release], Prospect],
    bench: Bench,
) -> tuple[Release | None, tuple[Finding, ...]]:
    """Take the newest release that nothing speaks against, or a newer one that serves more.

    A release of which the wheels for some Pythons are held serves more where the next older one
    has wheels for fewer.
    ``refused`` is given what is looked at and not taken, newest first. Returned is also what is
    said of single wheels of the release.
    Raises UnreachableError: a judge needed what cannot be had now.
    """
    partial: tuple[int, int] | None = None
    for release in releases:
        prospect = prospect_of(release)
        if is_given_up(refused, prospect.wheels, bench):
            continue
        findings = bench.findings(prospect)
        served = len(prospect.wheels) - len(findings)
        if not findings:
            if partial is None or served >= partial[1]:
                return release, ()
            break
        if all(each.python for each in findings) and (partial is None or served > partial[1]):
            partial = len(refused), served
        refused.append((release, findings))
    if partial is None:
        return None, ()
    release, findings = refused[partial[0]]
    del refused[partial[0] :]
    return release, findings


def is_given_up(refused: Sized, wheels: Mapping[PythonBuild, Offer], bench: Bench) -> bool:
    """Whether a release is not looked at, after so many that were refused, but for the lock's own.

    Whoever writes an index's page can list any number of newer ones.
    """
    known = any((offer.filename, offer.sha256) in bench.locked for offer in wheels.values())
    return len(refused) >= limits().page.refused and not known


def held_rows(
    project: str, refused: Iterable[Refused], *, since: str, instead: Release | None = None
) -> tuple[Held, ...]:
    """Write refused releases as rows of the lock."""
    served = instead.version.public if instead else ""
    return tuple(
        each.held(project, release.version.public, since=since, instead=served)
        for release, findings in refused
        for each in findings
    )


def of_place(row: Held, wish: Wish, *, instead: str) -> HeldCell:
    """Write a torch that is held back as a row of the lock itself."""
    return HeldCell(
        **{**vars(row), "instead": instead},
        train=wish.train,
        subdir=wish.subdir.name,
        accelerator=wish.accelerator,
        line=wish.line,
    )


def with_old_days(lock: Lock, old: Lock) -> Lock:
    """Keep the day on which what is still held was held first, and no row twice."""
    days: dict[tuple[str, ...], str] = {}
    for name, row in old.all_held():
        key = _identity(name, row)
        days[key] = min(row.since, days.get(key, row.since))

    def dated(cell: Cell) -> Cell:
        held = [replace(h, since=days.get(_identity(cell.name, h), h.since)) for h in cell.held]
        return replace(cell, held=tuple(dict.fromkeys(held)))

    held = [replace(h, since=days.get(_identity(h.place, h), h.since)) for h in lock.held]
    return replace(
        lock,
        cells=tuple(dated(cell) for cell in lock.cells),
        held=tuple(dict.fromkeys(held)),
    )


def _identity(place: str, row: Held) -> tuple[str, ...]:
    """Name what is held apart from how that is put into words, and from the line it is in."""
    return place.split("/")[1], row.project, row.version, str(row.python or ""), row.kind
