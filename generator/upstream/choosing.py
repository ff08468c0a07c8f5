"""Chooses the releases that become cells, reading only the METADATA that the choice needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
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
from generator.model.subdir import Subdir
from generator.model.wheel import Fill
from generator.upstream.accelerators import Target, built_for, held_to_claim
from generator.upstream.catalogue import Catalogue, Release
from generator.upstream.claims import may_be
from generator.upstream.fill import choose_fill
from generator.upstream.offers import promised
from generator.upstream.policy import TrioPolicy
from generator.upstream.targets import active, environment
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
    trio: Mapping[str, Release]
    #: what the base channel lacks
    fill: Mapping[Fill, Release] = field(default_factory=dict)
    absent: tuple[Absence, ...] = ()

    @property
    def releases(self) -> dict[str, Release]:
        """The release of every project, the trio first."""
        return {**self.trio, **{str(project): found for project, found in self.fill.items()}}

    @property
    def torch(self) -> Version:
        """The version of torch, without its local part."""
        return Version(self.trio["torch"].version.public)


@dataclass
class _Wanted:
    """What a wish still waits for, while releases go by from the newest on."""

    wish: Wish
    open: set[str]
    minors: set[tuple[int, int]] = field(default_factory=set)
    releases: set[Version] = field(default_factory=set)

    def takes(self, version: Version, *, complete: bool) -> bool:
        """Whether a release is one of those; counts it."""
        got = {"newest", *(("newest-complete",) if complete else ())} & self.open
        self.open -= got
        minor = version.release[0], version.minor
        new_minor = minor not in self.minors and len(self.minors) < self.wish.minors
        new = version not in self.releases and len(self.releases) < self.wish.releases
        if new_minor:
            self.minors.add(minor)
        if new:
            self.releases.add(version)
        return bool(got) or new_minor or new

    @property
    def done(self) -> bool:
        """Whether nothing that is older can be wanted."""
        return (
            not self.open
            and len(self.minors) >= self.wish.minors
            and len(self.releases) >= self.wish.releases
        )


@dataclass
class Chooser:
    """Finds the drafts of wishes in one catalogue; malformed wheels it steps over are findings."""

    catalogue: Catalogue
    projects: tuple[str, ...]
    reader: WheelReader
    policy: TrioPolicy
    #: what else is repacked where torch asks for it
    fill: tuple[Fill, ...] = ()
    #: versions of torch that the stable train has, per subdir: no candidates any more
    released: Callable[[Subdir], Collection[Version]] = lambda _: ()
    findings: list[ArmtorchError] = field(default_factory=list)

    def drafts(self, wish: Wish) -> tuple[Draft, ...]:
        """Return the releases the wish keeps, newest first; none where upstream has none.

        Raises:
            UnreachableError: METADATA that the choice needs cannot be had now.

        """
        kept: list[Draft] = []
        wanted = _Wanted(wish, set(wish.keep))
        for draft in self._candidates(wish):
            complete = all(project in draft.trio for project in self.projects)
            if wanted.takes(draft.torch, complete=complete):
                kept.append(draft)
            if wanted.done:
                break
        return tuple(kept)

    def _candidates(self, wish: Wish) -> Iterator[Draft]:
        released = frozenset(self.released(wish.subdir)) if wish.train == "rc" else frozenset()
        for release in self.catalogue.releases("torch", wish.subdir):
            version = Version(release.version.public)
            if not wish.admits(version) or version in released:
                continue
            if not may_be(release.claim, wish.accelerator):
                continue
            served = self.catalogue.pythons("torch", release, wish.subdir)
            pythons = tuple(p for p in served if wish.pythons is None or p in wish.pythons)
            accelerator = self._accelerator(wish, release, pythons)
            if accelerator is not None and wish.fits(accelerator):
                yield self._draft(wish, release, accelerator, pythons)

    def _accelerator(
        self, wish: Wish, release: Release, pythons: tuple[PythonBuild, ...]
    ) -> Accelerator | None:
        """Read what the release was built for from the first wheel whose METADATA is sound."""
        for python in pythons:
            offer = self.catalogue.best("torch", release, wish.subdir, python)
            if offer is None:
                continue
            try:
                promised(offer, wish.train)
                target = Target(wish.subdir, python)
                found = built_for(offer, target, self.reader, self.policy.cuda_requirements)
                return held_to_claim(offer, found)
            except BROKEN as error:
                self._note(error)
        return None

    def _draft(
        self,
        wish: Wish,
        release: Release,
        accelerator: Accelerator,
        pythons: tuple[PythonBuild, ...],
    ) -> Draft:
        requires = self._of_torch(wish, release, pythons)
        choice = TorchChoice(
            version=release.version,
            subdir=wish.subdir.name,
            accelerator=accelerator,
            requires=requires,
        )
        trio, absent = {"torch": release}, []
        for project in self.projects:
            if project == "torch":
                continue
            try:
                trio[project] = self._companion(project, wish, choice, pythons)
            except NoTrioError as error:
                absent.append(Absence(package=project, reason="incompatible", detail=error.what))
        fill, lacking = self._fill(wish, requires, pythons)
        return Draft(
            wish=wish,
            accelerator=accelerator,
            pythons=pythons,
            trio=trio,
            fill=fill,
            absent=(*absent, *lacking),
        )

    def _of_torch(
        self, wish: Wish, release: Release, pythons: tuple[PythonBuild, ...]
    ) -> tuple[Requirement, ...]:
        """Read what torch requires for the first Python; nothing where that cannot be read."""
        if not pythons:
            return ()
        try:
            return self._requirements("torch", wish, release, pythons[0])
        except BROKEN as error:
            self._note(error)
            return ()

    def _fill(
        self, wish: Wish, requires: tuple[Requirement, ...], pythons: tuple[PythonBuild, ...]
    ) -> tuple[dict[Fill, Release], tuple[Absence, ...]]:
        if not self.fill or not requires:
            return {}, ()
        return choose_fill(self.fill, requires, self.catalogue, wish.subdir, pythons)

    def _companion(
        self, project: str, wish: Wish, choice: TorchChoice, pythons: tuple[PythonBuild, ...]
    ) -> Release:
        first: dict[Release, PythonBuild] = {}
        for release in self.catalogue.releases(project, wish.subdir):
            if not of_train(wish.train, release.version) or not may_be(
                release.claim, str(choice.accelerator)
            ):
                continue
            served = (
                p
                for p in pythons
                if self.catalogue.best(project, release, wish.subdir, p) is not None
            )
            python = next(served, None)
            if python is not None:
                first[release] = python

        def requirements(release: Release) -> tuple[Requirement, ...] | None:
            try:
                return self._requirements(project, wish, release, first[release])
            except BROKEN as error:
                self._note(error)
                return None

        try:
            return solve_companion(project, first, choice, self.policy.companions, requirements)
        except NoTrioError as error:
            raise self._with_what_was_there(project, wish, error) from error

    def _with_what_was_there(self, project: str, wish: Wish, error: NoTrioError) -> NoTrioError:
        """Add to a refusal the newest wheel that is there and was not even considered."""
        versions = {o.version for o in self.catalogue.offers.get(project, ()) if o.refused}
        for version in sorted((v for v in versions if v.local), reverse=True):
            if (why := self.catalogue.passed_over(project, version, wish.subdir)) is not None:
                what = f"{error.what}; {why}"
                return NoTrioError(what, where=error.where, next_step=error.next_step)
        return error

    def _requirements(
        self, project: str, wish: Wish, release: Release, python: PythonBuild
    ) -> tuple[Requirement, ...]:
        offer = self.catalogue.best(project, release, wish.subdir, python)
        if offer is None:
            return ()
        promised(offer, wish.train)
        facts = self.reader.metadata(offer)
        return active(facts.metadata.requires_dist, environment(wish.subdir, python))

    def _note(self, error: ArmtorchError) -> None:
        if str(error) not in {str(known) for known in self.findings}:
            self.findings.append(error)
