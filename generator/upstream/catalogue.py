"""All offers of a train's indexes, and which of them is the one for a Python on a subdir."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from generator.errors import AbsentError, IntegrityError
from generator.model.cell import Lock
from generator.model.python_build import PythonBuild
from generator.model.subdir import Subdir
from generator.upstream.indexes import Index
from generator.upstream.offers import Offer


@dataclass(frozen=True)
class Catalogue:
    """Offers by project, in the order of the indexes, the smaller file first."""

    offers: Mapping[str, tuple[Offer, ...]]
    _by_version: dict[tuple[str, str], dict[Version, list[Offer]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def versions(self, project: str, subdir: Subdir) -> tuple[Version, ...]:
        """Return the versions with a wheel for ``subdir`` that is not yanked, newest first."""
        return tuple(sorted(self._on(project, subdir), reverse=True))

    def pythons(self, project: str, version: Version, subdir: Subdir) -> tuple[PythonBuild, ...]:
        """Return the Python builds that have a wheel of their own, in order."""
        found: set[PythonBuild] = set()
        for offer in self._on(project, subdir).get(version, ()):
            try:
                python = offer.python()
            except ValueError:
                continue
            if python is not None and offer.admits(python):
                found.add(python)
        return tuple(sorted(found))

    def best(
        self, project: str, version: Version, subdir: Subdir, python: PythonBuild
    ) -> Offer | None:
        """Return the wheel for ``python``: the highest build tag (PEP 427), else the first."""
        fitting = [
            offer for offer in self._on(project, subdir).get(version, ()) if offer.serves(python)
        ]
        return max(
            fitting, key=lambda offer: (offer.build, offer.python() is not None), default=None
        )

    def yanked(self, project: str, version: Version, python: PythonBuild) -> str | None:
        """Return the reason for which a wheel for ``python`` was yanked, if one was."""
        return next(
            (
                offer.yanked
                for offer in self.offers.get(project, ())
                if offer.version == version and offer.yanked is not None and offer.serves(python)
            ),
            None,
        )

    def _on(self, project: str, subdir: Subdir) -> dict[Version, list[Offer]]:
        """Group the usable offers for a subdir by version; done once, since it is asked often."""
        key = (project, subdir.name)
        if key not in self._by_version:
            found = self._by_version[key] = {}
            for offer in self.offers.get(project, ()):
                if offer.yanked is None and _is_for(offer, subdir):
                    found.setdefault(offer.version, []).append(offer)
        return self._by_version[key]


def read_catalogue(projects: Iterable[str], indexes: Iterable[Index]) -> Catalogue:
    """Ask every index for every project; of two files of one name the first index's wins.

    Raises:
        UnreachableError, MalformedError: as the first index that fails; a project that an index
            does not have is no failure.

    """
    indexes = tuple(indexes)
    found: dict[str, tuple[Offer, ...]] = {}
    for project in projects:
        files: dict[str, Offer] = {}
        for index in indexes:
            try:
                offers = index.offers(project)
            except AbsentError:
                continue
            for offer in sorted(offers, key=lambda each: (each.size or 0, each.filename)):
                files.setdefault(offer.filename, offer)
        found[project] = tuple(files.values())
    return Catalogue(found)


def refuse_tampering(catalogue: Catalogue, old: Lock) -> None:
    """Hold the offers against the stable wheels of the lock: a released file never changes.

    Raises:
        IntegrityError: a file has the name of a locked one and another sha256.

    """
    locked = {
        wheel.filename: wheel
        for cell in old.cells
        if cell.train == "stable"
        for wheel in cell.wheels
    }
    for offers in catalogue.offers.values():
        for offer in offers:
            known = locked.get(offer.filename)
            if known and known.index == offer.index and offer.sha256 not in {None, known.sha256}:
                raise IntegrityError(
                    f"{offer.filename} has sha256 {offer.sha256} on the index, the lock has "
                    f"{known.sha256}",
                    where=f"index {offer.index}",
                    next_step="released files do not change: find out who changed it; to accept "
                    "it all the same, delete feedstock.lock.yaml and update anew",
                )


def _is_for(offer: Offer, subdir: Subdir) -> bool:
    return any(
        platform == "any" or re.fullmatch(pattern, platform)
        for platform in offer.platforms
        for pattern in subdir.wheel_platforms
    )
