"""Chooses the releases that become cells, and holds back what speaks against being served."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from packaging.requirements import Requirement
from packaging.version import Version

from generator.errors import NoTrioError
from generator.feedstock import Feedstock
from generator.model.accelerator import Accelerator
from generator.model.cell import Absence, HeldCell, of_train
from generator.model.held import Finding, Held
from generator.model.python_build import PythonBuild
from generator.model.subdir import Subdir
from generator.naming import python_builds
from generator.packages import wanted
from generator.updating.accelerators import Target, built_for, held_to_claim
from generator.updating.catalogue import Catalogue, Release
from generator.updating.drafts import Choice, Draft, Wanted
from generator.updating.fill import choose_fill
from generator.updating.holding import Refused, held_rows, is_given_up, of_place, take_best
from generator.updating.judging import BROKEN, Bench, Prospect, finding_of
from generator.updating.targets import active, environment
from generator.updating.trio import TorchChoice, companions
from generator.updating.wishes import RECENT, Wish
from generator.upstream.claims import may_be
from generator.upstream.offers import Offer, promised
from generator.upstream.policy import TrioPolicy
from generator.upstream.silence import Silence, of_index

_FOR_ALL: Final = Finding(
    kind="tag",
    detail="it is one wheel for all Pythons, and what of it is libtorch is known by comparing them",
    next_step="give a torch of this kind rules of its own (docs/architecture.md)",
)


@dataclass(frozen=True, kw_only=True)
class _Torch:
    """A torch release that a wish may take, and what fits it by what is said."""

    wish: Wish
    release: Release
    accelerator: Accelerator
    wheels: Mapping[PythonBuild, Offer]
    #: what it requires itself, for its first Python
    requires: tuple[Requirement, ...]

    @property
    def version(self) -> Version:
        return Version(self.release.version.public)

    @property
    def pythons(self) -> tuple[PythonBuild, ...]:
        return tuple(self.wheels)

    def without(self, found: tuple[Finding, ...]) -> _Torch:
        bad = {each.python for each in found}
        kept = {python: offer for python, offer in self.wheels.items() if python not in bad}
        return replace(self, wheels=kept)


@dataclass(frozen=True)
class _Fitting:
    """The releases of a companion that fit a torch by what is said, newest first."""

    releases: Iterator[Release]
    #: those that are passed over on the way, since their METADATA cannot be read
    refused: list[Refused]
    #: why there is none, where that is so
    why: str | None


@dataclass(kw_only=True)
class Chooser:
    """Finds the drafts of wishes in one catalogue."""

    asked: Feedstock
    catalogue: Catalogue
    policy: TrioPolicy
    bench: Bench
    #: the day (UTC), ISO 8601
    today: str
    #: versions of torch that the stable train has, per subdir: no candidates any more
    released: Callable[[Subdir], Collection[Version]] = lambda _: ()

    def without(self, silent: Iterable[Silence]) -> Chooser:
        """Return a chooser that knows nothing of what some indexes offer."""
        catalogue = self.catalogue.without(silent)
        return self if catalogue is self.catalogue else replace(self, catalogue=catalogue)

    def lines(self, wish: Wish, known: Iterable[Version] = ()) -> set[str]:
        """Return the CUDA lines that one of the newest minors of torch is there for.

        ``known`` are versions of torch that count as minors, besides those that are offered.
        Raises SilentIndexError: METADATA that says it cannot be had now.
        """
        found: set[str] = set()
        offered = self.catalogue.releases("torch", wish.subdir)
        versions = {each.version for each in offered if wish.admits(each.version)} | {*known}
        minors = sorted({(each.major, each.minor) for each in versions}, reverse=True)
        most = max(RECENT, wish.minors)
        # minors in between may be those of an index that is silent
        recent = {
            (major, minor)
            for major, minor in minors[:most]
            if major != minors[0][0] or minors[0][1] - minor < most
        }
        for release in offered:
            minor = release.version.major, release.version.minor
            if not wish.admits(release.version) or minor not in recent:
                continue
            if re.fullmatch(r"cuda\d{3}", release.claim):
                found.add(release.claim)
            elif may_be(release.claim, "cuda"):
                pythons = self.catalogue.pythons("torch", release, wish.subdir)
                wheels = self._wheels("torch", release, wish, pythons)
                accelerator = self._accelerator(wish, wheels)
                if isinstance(accelerator, Accelerator) and wish.fits(accelerator):
                    found.add(str(accelerator))
        return found

    def choose(self, wish: Wish) -> Choice:
        """Return the releases the wish keeps, and what is held back of those it would have kept.

        Raises SilentIndexError: METADATA that the choice needs cannot be had now.
        """
        kept: list[Draft] = []
        held: list[Held] = []
        wanted = Wanted(wish, set(wish.keep))
        projects: tuple[str, ...] = self.asked.packages
        for torch in self._candidates(wish, held):
            members = [p for p in projects if p != "torch"]
            fitting = {p: self._fitting(p, torch) for p in members}
            possible = all(each.why is None for each in fitting.values())
            if wanted.wants(torch.version, complete=possible):
                draft = self._draft(torch, fitting, held)
                complete = draft is not None and all(p in draft.trio for p in projects)
                if draft is not None and wanted.wants(torch.version, complete=complete):
                    wanted.take(torch.version, complete=complete)
                    kept.append(draft)
            if wanted.done:
                break
        return Choice(tuple(kept), tuple(_of_place(wish, kept, held)))

    def _candidates(self, wish: Wish, held: list[Held]) -> Iterator[_Torch]:
        """Yield the torch releases for a wish, newest first; add unreadable ones to ``held``."""
        released = frozenset(self.released(wish.subdir)) if wish.train == "rc" else frozenset()
        for release in self.catalogue.releases("torch", wish.subdir):
            version = Version(release.version.public)
            if not wish.admits(version) or version in released:
                continue
            if not may_be(release.claim, wish.accelerator.removesuffix("*")):
                continue
            served = self.catalogue.pythons("torch", release, wish.subdir)
            pythons = tuple(p for p in served or python_builds() if p in wish.pythons)
            wheels = self._wheels("torch", release, wish, pythons)
            if is_given_up(held, wheels, self.bench):
                continue
            accelerator = self._accelerator(wish, wheels)
            if isinstance(accelerator, Finding):
                if (accelerator.kind, wish.accelerator) == ("cuda", "cpu"):
                    continue  # whatever line that is, it is CUDA
                held += held_rows("torch", [(release, (accelerator,))], since=self.today)
            elif accelerator is None or not wish.fits(accelerator):
                continue
            elif not served:
                held += held_rows("torch", [(release, (_FOR_ALL,))], since=self.today)
            else:
                said = self._said(wish, wheels)
                yield _Torch(
                    wish=wish,
                    release=release,
                    accelerator=accelerator,
                    wheels=wheels,
                    requires=() if isinstance(said, Finding) else said,
                )

    def _wheels(
        self, project: str, release: Release, wish: Wish, pythons: tuple[PythonBuild, ...]
    ) -> dict[PythonBuild, Offer]:
        found = (
            (python, self.catalogue.best(project, release, wish.subdir, python))
            for python in pythons
        )
        return {python: offer for python, offer in found if offer is not None}

    def _accelerator(
        self, wish: Wish, wheels: Mapping[PythonBuild, Offer]
    ) -> Accelerator | Finding | None:
        """Read what the release was built for from the first wheel whose METADATA is sound."""
        first: Finding | None = None
        for python, offer in wheels.items():
            try:
                promised(offer, wish.train)
                target = Target(wish.subdir, python)
                with of_index(offer):
                    found = built_for(
                        offer, target, self.bench.reader, self.policy.cuda_requirements
                    )
                return held_to_claim(offer, found)
            except BROKEN as error:
                first = first or finding_of(error)
        return first

    def _draft(
        self, torch: _Torch, fitting: Mapping[str, _Fitting], held: list[Held]
    ) -> Draft | None:
        """Judge a torch and what fits it; None, and rows in ``held``, where it is held."""
        findings = self.bench.findings(self._prospect("torch", torch.release, torch))
        own = held_rows("torch", [(torch.release, findings)], since=self.today)
        if any(each.python is None for each in findings):
            held += own
            return None
        torch = torch.without(findings)
        trio, rows = {"torch": torch.release}, [*own]
        more = {
            project: self._fitting(project, torch)
            for project in self.asked.companions
            if wanted(project, torch.wish.subdir.name, torch.accelerator)
        }
        fitting = {**fitting, **more}

        def take(
            project: str, releases: Iterator[Release], refused: list[Refused]
        ) -> Release | None:
            taken, left_out = take_best(
                releases, refused, lambda each: self._prospect(project, each, torch), self.bench
            )
            # where none can be served, the newest says why
            newer = refused if taken else refused[:1]
            rows.extend(held_rows(project, newer, since=self.today, instead=taken))
            if taken:
                rows.extend(held_rows(project, [(taken, left_out)], since=self.today))
            return taken

        for project, each in fitting.items():
            if (release := take(project, each.releases, each.refused)) is not None:
                trio[project] = release
        fill, lacking = choose_fill(
            self.asked.fill if torch.requires else (),
            torch.requires,
            self.catalogue,
            torch.wish.subdir,
            torch.pythons,
            lambda project, found: take(project, found, []),
        )
        return Draft(
            wish=torch.wish,
            accelerator=torch.accelerator,
            pythons=torch.pythons,
            trio={project: each for project, each in trio.items() if project not in more},
            fill={**fill, **{project: trio[project] for project in more if project in trio}},
            absent=(
                *(
                    Absence(package=project, reason="incompatible", detail=each.why)
                    for project, each in fitting.items()
                    if each.why is not None
                ),
                *lacking,
            ),
            held=tuple(rows),
        )

    def _prospect(self, project: str, release: Release, torch: _Torch) -> Prospect:
        own = project == "torch"
        return Prospect(
            train=torch.wish.train,
            subdir=torch.wish.subdir,
            accelerator=torch.accelerator,
            project=project,
            release=release,
            wheels=torch.wheels
            if own
            else self._wheels(project, release, torch.wish, torch.pythons),
            torch=torch.wheels,
        )

    def _said(
        self, wish: Wish, wheels: Mapping[PythonBuild, Offer]
    ) -> tuple[Requirement, ...] | Finding:
        """Read what a release requires for its first Python whose METADATA can be read."""
        first: Finding | None = None
        for python, offer in wheels.items():
            try:
                promised(offer, wish.train)
                with of_index(offer):
                    facts = self.bench.reader.metadata(offer)
                return active(facts.metadata.requires_dist, environment(wish.subdir, python))
            except BROKEN as error:
                first = first or finding_of(error)
        return () if first is None else first

    def _fitting(self, project: str, torch: _Torch) -> _Fitting:
        wish, refused = torch.wish, list[Refused]()
        wheels: dict[Release, Mapping[PythonBuild, Offer]] = {}
        for release in self.catalogue.releases(project, wish.subdir):
            own = of_train(wish.train, release.version) or of_train("stable", release.version)
            if not own or not may_be(release.claim, str(torch.accelerator)):
                continue
            if found := self._wheels(project, release, wish, torch.pythons):
                wheels[release] = found

        def requirements(release: Release) -> tuple[Requirement, ...] | None:
            if is_given_up(refused, wheels[release], self.bench):
                return None
            said = self._said(wish, wheels[release])
            if isinstance(said, Finding):
                refused.append((release, (said,)))
                return None
            return said

        choice = TorchChoice(
            version=torch.release.version,
            subdir=wish.subdir.name,
            accelerator=torch.accelerator,
            requires=torch.requires,
        )
        releases = companions(project, wheels, choice, self.policy.companions, requirements)
        try:
            newest = next(releases)
        except NoTrioError as error:
            why = None if refused else self._with_what_was_there(project, wish, error).what
            return _Fitting(iter(()), refused, why)
        return _Fitting(chain([newest], releases), refused, None)

    def _with_what_was_there(self, project: str, wish: Wish, error: NoTrioError) -> NoTrioError:
        """Add to a refusal the newest wheel that is there and was not even considered."""
        versions = {o.version for o in self.catalogue.offers.get(project, ()) if o.refused}
        for version in sorted((v for v in versions if v.local), reverse=True):
            if (there := self.catalogue.passed_over(project, version, wish.subdir)) is not None:
                what = f"{error.what}; {there.passed_over}"
                return NoTrioError(what, where=error.where, next_step=error.next_step)
        return error


def _of_place(wish: Wish, kept: list[Draft], held: list[Held]) -> Iterator[HeldCell]:
    """Say of the torch releases held back what is served in their place."""
    for row in held:
        older = (draft.torch for draft in kept if draft.torch < Version(row.version))
        yield of_place(row, wish, instead=str(next(older, "")))
