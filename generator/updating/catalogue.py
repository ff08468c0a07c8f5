"""All offers of a train's indexes, and which of them is the one for a Python on a subdir."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from generator.errors import (
    AbsentError,
    IntegrityError,
    MalformedError,
    UnreachableError,
)
from generator.model.cell import Lock
from generator.model.python_build import PythonBuild
from generator.model.subdir import Subdir
from generator.upstream.families import Family
from generator.upstream.indexes import Index
from generator.upstream.offers import Offer
from generator.upstream.silence import Silence, Unasked


@dataclass(frozen=True)
class Release:
    """One version of a project, of the wheels that are said to be for one accelerator.

    A version alone is not enough: the Jetson indexes and PyPI each have a ``torch 2.8.0``.
    """

    version: Version
    #: what the wheels are said to be for, see claims; "" where only METADATA tells
    claim: str = ""
    #: place of its first index in the train's list
    rank: int = field(default=0, compare=False)

    @property
    def order(self) -> tuple[Version, int, int, Version]:
        """Sort key: the newest last; of one version what says its accelerator, the first index."""
        said = 0 if not self.claim else 1 if self.claim.removesuffix("-tegra") == "cuda" else 2
        return Version(self.version.public), said, -self.rank, self.version

    def __str__(self) -> str:
        return str(self.version)


@dataclass(frozen=True)
class Catalogue:
    """Offers by project, in the order of the indexes, the smaller file first."""

    offers: Mapping[str, tuple[Offer, ...]]
    #: indexes of the train whose offers are not among them
    silent: tuple[Silence, ...] = ()
    _by_release: dict[tuple[str, str], dict[Release, list[Offer]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def silences(self, accelerator: str, subdir: Subdir) -> tuple[Silence, ...]:
        """Return the silent indexes that may have wheels for an accelerator on a subdir."""
        return tuple(s for s in self.silent if s.claims.may_have(accelerator, subdir.name))

    def without(self, silent: Iterable[Silence]) -> Catalogue:
        """Return the catalogue without what some indexes offer."""
        gone = {each.index for each in silent} - {each.index for each in self.silent}
        if not gone:
            return self
        return Catalogue(
            {
                project: tuple(offer for offer in offers if offer.index not in gone)
                for project, offers in self.offers.items()
            },
            self.silent,
        )

    def with_companions(self, stable: Catalogue) -> Catalogue:
        """Return the catalogue with what the stable train has beside torch.

        Upstream makes no nightlies of what is in maintenance (torchaudio since 2.9): its installs
        name torch and torchvision, and a release goes with them where its symbols do.
        """
        offers = dict(self.offers)
        for project, others in stable.offers.items():
            if project != "torch":
                own = {(o.filename, o.claim): o for o in offers.get(project, ())}
                more = (o for o in others if (o.filename, o.claim) not in own)
                offers[project] = (*own.values(), *more)
        return Catalogue(offers, self.silent)

    def releases(self, project: str, subdir: Subdir) -> tuple[Release, ...]:
        """Return the releases with a usable wheel for ``subdir``, newest first."""
        return tuple(sorted(self._on(project, subdir), key=lambda r: r.order, reverse=True))

    def pythons(self, project: str, release: Release, subdir: Subdir) -> tuple[PythonBuild, ...]:
        """Return the Python builds that have a wheel of their own, in order."""
        found: set[PythonBuild] = set()
        for offer in self._on(project, subdir).get(release, ()):
            try:
                python = offer.python()
            except ValueError:
                continue
            if python is not None and offer.admits(python):
                found.add(python)
        return tuple(sorted(found))

    def best(
        self, project: str, release: Release, subdir: Subdir, python: PythonBuild
    ) -> Offer | None:
        """Return the wheel for ``python``: the highest build tag (PEP 427), else the first."""
        fitting = [
            offer for offer in self._on(project, subdir).get(release, ()) if offer.serves(python)
        ]
        return max(
            fitting,
            key=lambda offer: (offer.build, offer.python() is not None, not offer.abi3),
            default=None,
        )

    def passed_over(
        self, project: str, version: Version, subdir: Subdir, python: PythonBuild | None = None
    ) -> Offer | None:
        """Return a wheel that is there and not taken; it says why itself."""
        there = (
            offer
            for offer in self.offers.get(project, ())
            if offer.version.public == version.public and offer.is_for(subdir.wheel_platforms)
        )
        own = (offer for offer in there if python is None or offer.serves(python))
        return next((offer for offer in own if not offer.usable), None)

    def malformed(self) -> tuple[tuple[MalformedError, tuple[str, str]], ...]:
        """Return every file that its index lists with two hashes: the error, index and name."""
        return tuple(
            (
                MalformedError(
                    offer.refused,
                    where=f"{offer.filename}, index {offer.index}",
                    next_step="report it to the index; the file is left out until it is clear",
                ),
                (offer.index, offer.filename),
            )
            for offers in self.offers.values()
            for offer in offers
            if offer.disputed
        )

    def identified(self, known: Mapping[tuple[str, str], Offer]) -> Catalogue:
        """Return the catalogue with some offers, by index and file name, replaced."""
        return Catalogue(
            {
                project: tuple(known.get((o.index, o.filename), o) for o in offers)
                for project, offers in self.offers.items()
            },
            self.silent,
        )

    def _on(self, project: str, subdir: Subdir) -> dict[Release, list[Offer]]:
        """Group the usable offers for a subdir; done once, since it is asked often."""
        key = (project, subdir.name)
        if key not in self._by_release:
            found = self._by_release[key] = {}
            ranks: dict[str, int] = {}
            for offer in self.offers.get(project, ()):
                rank = ranks.setdefault(offer.index, len(ranks))
                if offer.usable and offer.is_for(subdir.wheel_platforms):
                    release = Release(offer.version, offer.claim, rank)
                    found.setdefault(release, []).append(offer)
        return self._by_release[key]


def read_catalogue(projects: Iterable[str], indexes: Iterable[Index]) -> Catalogue:
    """Ask every index for every project.

    Of two files of one name and one claim the first index's wins. An index that fails is noted as
    silent, and so is one of several that stand under one name; a project that an index does not
    have is no failure.
    """
    found: dict[str, dict[tuple[str, str], Offer]] = {project: {} for project in projects}
    silent: list[Silence] = []
    todo = deque(indexes)
    while todo:
        index = todo.popleft()
        try:
            if isinstance(index, Family):
                todo.extendleft(reversed(index.members()))
                continue
            answers = {project: offers_of(index, project) for project in found}
        except (UnreachableError, MalformedError) as error:
            silent.append(Silence(index.name, index.claims, error))
            continue
        if isinstance(index, Unasked):
            silent.append(Silence(index.name, index.claims, None))
        for project, offers in answers.items():
            for offer in sorted(offers, key=lambda each: (each.size or 0, each.filename)):
                found[project].setdefault((offer.filename, offer.claim), offer)
    return Catalogue(
        {project: tuple(offers.values()) for project, offers in found.items()}, tuple(silent)
    )


def offers_of(index: Index, project: str) -> tuple[Offer, ...]:
    """Return what an index has of a project; nothing where it answers that it has none."""
    try:
        return index.offers(project)
    except AbsentError:
        return ()


def refuse_tampering(catalogue: Catalogue, old: Lock) -> None:
    """Hold the offers against the stable wheels of the lock: a released file never changes.

    The same name on another index is another wheel (Jetson's names have no local version).
    Raises IntegrityError: an index has a file under the name of a locked one, with another sha256.
    """
    locked = {
        (wheel.index, wheel.filename): wheel
        for cell in old.cells
        if cell.train == "stable"
        for wheel in cell.wheels
    }
    for offers in catalogue.offers.values():
        for offer in offers:
            known = locked.get((offer.index, offer.filename))
            if known and not offer.refused and offer.sha256 not in {None, known.sha256}:
                raise IntegrityError(
                    f"tampering: {offer.filename} was released with sha256 {known.sha256}, as the "
                    f"lock has it, and the index now gives {offer.sha256}",
                    where=f"index {offer.index}",
                    next_step="released files do not change: find out who changed it; nothing was "
                    "written. To accept it all the same, delete feedstock.lock.yaml and update "
                    "anew",
                )
