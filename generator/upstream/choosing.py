"""Chooses the releases that become cells, reading only the METADATA that the choice needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from packaging.requirements import Requirement
from packaging.version import Version

from generator.errors import (
    AbsentError,
    ArmtorchError,
    IntegrityError,
    MalformedError,
    NoTrioError,
)
from generator.model.accelerator import Accelerator
from generator.model.cell import Absence
from generator.model.python_build import PythonBuild
from generator.upstream.catalogue import Catalogue
from generator.upstream.policy import TrioPolicy
from generator.upstream.targets import accelerator_of, active, environment
from generator.upstream.trio import TorchChoice, solve_companion
from generator.upstream.wheel_reader import WheelReader
from generator.upstream.wishes import Wish, of_train

#: what makes one file unusable, while its server does answer
BROKEN: Final = (AbsentError, MalformedError, IntegrityError)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A cell to be: versions are chosen, wheels not read yet."""

    wish: Wish
    accelerator: Accelerator
    pythons: tuple[PythonBuild, ...]
    trio: Mapping[str, Version]
    absent: tuple[Absence, ...] = ()

    @property
    def torch(self) -> Version:
        """The version of torch."""
        return self.trio["torch"]


@dataclass
class Chooser:
    """Finds the drafts of wishes in one catalogue; malformed wheels it steps over are findings."""

    catalogue: Catalogue
    projects: tuple[str, ...]
    reader: WheelReader
    policy: TrioPolicy
    findings: list[ArmtorchError] = field(default_factory=list)

    def drafts(self, wish: Wish) -> tuple[Draft, ...]:
        """Return the releases the wish keeps, newest first; none where upstream has none.

        Raises:
            UnreachableError: METADATA that the choice needs cannot be had now.

        """
        kept: dict[Version, Draft] = {}
        open_ = set(wish.keep)
        for draft in self._candidates(wish):
            complete = all(project in draft.trio for project in self.projects)
            got = {"newest", *(("newest-complete",) if complete else ())} & open_
            if got:
                kept[draft.torch] = draft
            open_ -= got
            if not open_:
                break
        return tuple(kept.values())

    def _candidates(self, wish: Wish) -> Iterator[Draft]:
        for version in self.catalogue.versions("torch", wish.subdir):
            if not wish.admits(version):
                continue
            served = self.catalogue.pythons("torch", version, wish.subdir)
            pythons = tuple(p for p in served if wish.pythons is None or p in wish.pythons)
            accelerator = self._accelerator(wish, version, pythons)
            if accelerator is not None and wish.fits(accelerator):
                yield self._draft(wish, version, accelerator, pythons)

    def _accelerator(
        self, wish: Wish, version: Version, pythons: tuple[PythonBuild, ...]
    ) -> Accelerator | None:
        """Read what the release was built for from the first wheel whose METADATA is sound."""
        for python in pythons:
            try:
                requires = self._requirements("torch", wish, version, python)
                return accelerator_of(
                    requires, self.policy.cuda_requirements, f"torch {version}, {wish.subdir}"
                )
            except BROKEN as error:
                self._note(error)
        return None

    def _draft(
        self,
        wish: Wish,
        version: Version,
        accelerator: Accelerator,
        pythons: tuple[PythonBuild, ...],
    ) -> Draft:
        choice = TorchChoice(version=version, subdir=wish.subdir.name, accelerator=accelerator)
        trio, absent = {"torch": version}, []
        for project in self.projects:
            if project == "torch":
                continue
            try:
                trio[project] = self._companion(project, wish, choice, pythons)
            except NoTrioError as error:
                absent.append(Absence(package=project, reason="incompatible", detail=error.what))
        return Draft(
            wish=wish, accelerator=accelerator, pythons=pythons, trio=trio, absent=tuple(absent)
        )

    def _companion(
        self, project: str, wish: Wish, choice: TorchChoice, pythons: tuple[PythonBuild, ...]
    ) -> Version:
        first = {}
        for version in self.catalogue.versions(project, wish.subdir):
            served = (
                p
                for p in pythons
                if self.catalogue.best(project, version, wish.subdir, p) is not None
            )
            python = next(served, None)
            if python is not None and of_train(wish.train, version):
                first[version] = python

        def requirements(version: Version) -> tuple[Requirement, ...] | None:
            try:
                return self._requirements(project, wish, version, first[version])
            except BROKEN as error:
                self._note(error)
                return None

        return solve_companion(project, first, choice, self.policy.companions, requirements)

    def _requirements(
        self, project: str, wish: Wish, version: Version, python: PythonBuild
    ) -> tuple[Requirement, ...]:
        offer = self.catalogue.best(project, version, wish.subdir, python)
        if offer is None:
            return ()
        facts = self.reader.metadata(offer)
        return active(facts.metadata.requires_dist, environment(wish.subdir, python))

    def _note(self, error: ArmtorchError) -> None:
        if str(error) not in {str(known) for known in self.findings}:
            self.findings.append(error)
