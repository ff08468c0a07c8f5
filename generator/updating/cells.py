"""Turns drafts into cells: reads their wheels, proves what is shared, says what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from packaging.specifiers import SpecifierSet

from generator.errors import ArmtorchError, UnreachableError
from generator.model.cell import Absence, AbsenceReason, Cell, Sharing, TrainName
from generator.model.held import Held
from generator.model.python_build import PythonBuild
from generator.model.wheel import Metadata, Wheel, serves
from generator.updating.accelerators import Target, built_for, held_to_claim
from generator.updating.catalogue import Catalogue, Release
from generator.updating.drafts import Draft
from generator.updating.holding import held_rows
from generator.updating.judging import BROKEN, finding_of
from generator.upstream.facts import WheelFacts
from generator.upstream.offers import Offer
from generator.upstream.policy import TrioPolicy, sharing_rules
from generator.upstream.reading import Read, key_of
from generator.upstream.sharing import compare
from generator.upstream.wheel_reader import WheelReader

_PATCHES = range(50)


@dataclass(frozen=True)
class BuiltCell:
    """A cell, the METADATA its wheels refer to, and what did not answer on the way."""

    cell: Cell
    metadata: Mapping[str, Metadata]
    silent: tuple[UnreachableError, ...]


@dataclass(frozen=True)
class Pick:
    """The offer that was picked for a project and, but for a ``py3-none`` wheel, one Python."""

    project: str
    offer: Offer


def picks(draft: Draft, catalogue: Catalogue) -> tuple[tuple[Pick, ...], tuple[Absence, ...]]:
    """Pick the wheels of a draft, torch first; say for which Pythons one is missing."""
    found: dict[tuple[str, str], Pick] = {}
    absent: list[Absence] = []
    subdir = draft.wish.subdir
    for project, release in draft.releases.items():
        for python in draft.pythons:
            if draft.leaves_out(project, python):
                continue
            offer = catalogue.best(project, release, subdir, python)
            if offer is not None:
                found.setdefault(key_of(offer), Pick(project, offer))
            else:
                absent.append(_not_served(project, draft, python, catalogue))
    absent.extend(
        _not_served("torch", draft, python, catalogue)
        for python in draft.wish.pythons.only
        if python not in draft.pythons and not draft.leaves_out("torch", python)
    )
    return tuple(found.values()), tuple(absent)


@dataclass(frozen=True, kw_only=True)
class CellMaker:
    """Makes cells of drafts whose wheels were read."""

    catalogue: Catalogue
    reader: WheelReader
    policy: TrioPolicy
    #: the day (UTC), ISO 8601
    today: str

    def make(self, draft: Draft, line: str, read: Read) -> BuiltCell:
        """Make the cell.

        Raises UnreachableError: a member that proves the sharing cannot be read now.
        """
        chosen, absent = picks(draft, self.catalogue)
        usable: list[tuple[Pick, WheelFacts]] = []
        missing, held = [*draft.absent, *absent], [*draft.held]
        silent: list[UnreachableError] = []
        for pick in chosen:
            facts = read[key_of(pick.offer)]
            if isinstance(facts, UnreachableError):
                silent.append(facts)
                missing.append(_unusable(pick, "unreachable", facts.what))
                continue
            try:
                if isinstance(facts, ArmtorchError):
                    raise facts
                why = self._misfit(pick, facts, draft)
            except BROKEN as error:
                held += self._held(pick, error)
                continue
            if why is not None:
                missing.append(_unusable(pick, "incompatible", why))
            else:
                usable.append((pick, facts))
        groups = self._groups([pick.offer for pick, _ in usable if pick.project == "torch"])
        kept = _with_a_torch(usable)
        return BuiltCell(
            Cell(
                line=line,
                train=draft.wish.train,
                subdir=draft.wish.subdir.name,
                accelerator=draft.accelerator,
                # conda versions have no local part; which wheel it is, the wheels' own rows say
                trio={project: each.version.public for project, each in draft.trio.items()},  # type: ignore[misc]
                fill={project: each.version.public for project, each in draft.fill.items()},
                wheels=tuple(
                    wheel_row(pick.offer, facts, draft.wish.train) for pick, facts in kept
                ),
                sharing=next(iter(groups), None),
                apart=groups[1:],
                absent=tuple(missing),
                held=tuple(held),
                behind=draft.behind,
                libraries=_libraries(kept, groups),
                bundled=bundled_by((pick.project, facts) for pick, facts in kept),
            ),
            {facts.metadata.sha256: facts.metadata.metadata for _, facts in kept},
            tuple(silent),
        )

    def _held(self, pick: Pick, error: ArmtorchError) -> tuple[Held, ...]:
        finding = finding_of(error, None if pick.offer.abi3 else pick.offer.python())
        release = Release(pick.offer.version)
        return held_rows(pick.project, [(release, (finding,))], since=self.today)

    def _misfit(self, pick: Pick, facts: WheelFacts, draft: Draft) -> str | None:
        """Say why a wheel that was read does not belong into the cell after all.

        Raises MalformedError: it is not what its name and index say.
        """
        own = pick.offer.python()
        python = own or draft.pythons[0]
        metadata = facts.metadata.metadata
        wanted = SpecifierSet(metadata.requires_python)
        # a wheel for more than one Python may leave out the first of those that its tag names
        pythons = draft.pythons if own is None or pick.offer.abi3 else (own,)
        releases = (f"{each.version}.{patch}" for each in pythons for patch in _PATCHES)
        if not any(map(wanted.contains, releases)):
            return f"{pick.offer.filename} requires Python {wanted}"
        if pick.project != "torch":
            return None
        target = Target(draft.wish.subdir, python)
        rows = self.policy.cuda_requirements
        found = built_for(pick.offer, target, self.reader, rows, thorough=True)
        held_to_claim(pick.offer, found)
        if found != draft.accelerator:
            return f"{pick.offer.filename} is a {found} build, the cell is {draft.accelerator}"
        return None

    def _groups(self, torch: list[Offer]) -> tuple[Sharing, ...]:
        """Compare the torch wheels; from the cache when these very wheels were seen before."""
        sums = ",".join(sorted(f"{offer.sha256}" for offer in torch))
        rules = sharing_rules()
        key = hashlib.sha256(f"{rules!r};{sums}".encode()).hexdigest()
        if (known := self.reader.cache.sharing.get(key)) is not None:
            return known
        offers = {python: offer for offer in torch if (python := offer.python()) is not None}
        members = {python: self.reader.members(offer) for python, offer in offers.items()}

        def read(python: PythonBuild, path: str, twin: bytes) -> bytes:
            return self.reader.member(offers[python], path, members[python][path], twin)

        found = compare(members, rules, read)
        self.reader.cache.sharing.keep(key, found)
        return found


def _with_a_torch(
    usable: list[tuple[Pick, WheelFacts]],
) -> list[tuple[Pick, WheelFacts]]:
    """Keep the wheels that serve a Python whose torch can be used."""
    offers = (pick.offer for pick, _ in usable if pick.project == "torch")
    torch = {python for offer in offers if (python := offer.python()) is not None}
    return [
        (pick, facts)
        for pick, facts in usable
        if any(serves(pick.offer.python(), python, abi3=pick.offer.abi3) for python in torch)
    ]


def with_old_origins(cell: Cell, old: Iterable[Wheel]) -> Cell:
    """Keep what the lock says about how a wheel was read: the same wheel gives the same row."""
    known = {(wheel.filename, wheel.sha256): wheel for wheel in old}
    return replace(
        cell,
        wheels=tuple(
            replace(
                wheel,
                metadata_origin=seen.metadata_origin,
                hash_origin=seen.hash_origin,
                uploaded=seen.uploaded or wheel.uploaded,
            )
            if (seen := known.get((wheel.filename, wheel.sha256)))
            else wheel
            for wheel in cell.wheels
        ),
    )


def wheel_row(offer: Offer, facts: WheelFacts, train: TrainName) -> Wheel:
    """Return what the lock says of a wheel."""
    return Wheel(
        project=offer.project,
        version=str(offer.version),
        filename=offer.filename,
        purl=offer.purl,
        size=offer.size or facts.size,
        sha256=offer.sha256 or "",
        index=offer.index,
        python=offer.python(),
        abi3=offer.abi3,
        platforms=offer.platforms,
        glibc=offer.glibc,
        metadata=facts.metadata.sha256,
        metadata_origin=facts.metadata.origin,
        record=facts.record,
        timestamp=facts.timestamp,
        console_scripts=facts.console_scripts,
        hash_origin="computed" if offer.hash_computed else "index",
        # a released wheel is known by its version, a candidate by its day
        uploaded=offer.uploaded if train != "stable" else "",
    )


def _libraries(kept: list[tuple[Pick, WheelFacts]], groups: tuple[Sharing, ...]) -> tuple[str, ...]:
    references = {each.reference for each in groups}
    found = {
        name
        for pick, facts in kept
        if pick.project == "torch" and str(pick.offer.python()) in references
        for name in facts.libraries
    }
    return tuple(sorted(found))


def bundled_by(read: Iterable[tuple[str, WheelFacts]]) -> dict[str, tuple[str, ...]]:
    """Collect by project what its wheels have for others to load; Pythons differ in hashes only."""
    found: dict[str, set[str]] = {}
    for project, facts in read:
        found.setdefault(project, set()).update(facts.bundled)
    return {project: tuple(sorted(members)) for project, members in found.items()}


def _not_served(project: str, draft: Draft, python: PythonBuild, catalogue: Catalogue) -> Absence:
    subdir, version = draft.wish.subdir, draft.releases[project].version
    there = catalogue.passed_over(project, version, subdir, python)
    malformed = there is not None and there.disputed and there.yanked is None
    return Absence(
        package="" if project == "torch" else project,
        reason="malformed" if malformed else "absent",
        python=str(python),
        detail=f"upstream has no wheel of {project} {version} for Python {python} on {subdir}"
        + (f"; {there.passed_over}" if there else ""),
    )


def _unusable(pick: Pick, reason: AbsenceReason, detail: str) -> Absence:
    python = pick.offer.python()
    return Absence(
        package="" if pick.project == "torch" else pick.project,
        reason=reason,
        detail=detail,
        python=str(python) if python else "",
    )
