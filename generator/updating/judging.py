"""The seam through which findings about a release reach the choice of the trio (decision D13).

Whoever can say something about a release before it is locked is a judge: names and licences,
layout, symbols. The chooser asks all of them about each release it is about to take, and what they
find costs that release, or its wheel for one Python, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, get_args

from generator.console import Narrator
from generator.errors import (
    AbsentError,
    ArmtorchError,
    IntegrityError,
    LinkageError,
    MalformedError,
    RenderError,
    UnknownError,
)
from generator.model.accelerator import Accelerator
from generator.model.cell import TrainName
from generator.model.held import Finding, FindingKind
from generator.model.python_build import PythonBuild
from generator.model.subdir import Subdir
from generator.updating.catalogue import Release
from generator.upstream.facts import WheelFacts
from generator.upstream.offers import Offer
from generator.upstream.reading import OfferKey, key_of, read_all
from generator.upstream.silence import of_index
from generator.upstream.wheel_reader import WheelReader

#: what makes one file unusable, while its server does answer
BROKEN: Final = (AbsentError, MalformedError, IntegrityError)
#: what speaks against one release, and not against armtorch or the user's own files
AGAINST: Final = (*BROKEN, UnknownError, RenderError, LinkageError)


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """A release that is about to be taken into a cell, with its wheels and those of its torch."""

    train: TrainName
    subdir: Subdir
    accelerator: Accelerator
    #: upstream's name: torch, torchvision, torchaudio, triton
    project: str
    release: Release
    #: the wheel for each Python of the cell that it has one for; a `py3-none` or `abi3` wheel
    #: stands several times
    wheels: Mapping[PythonBuild, Offer]
    #: the wheels of the torch it is taken for; `wheels` itself where that is the project
    torch: Mapping[PythonBuild, Offer]

    @property
    def name(self) -> str:
        """``torchaudio 2.11.1``: how findings call it."""
        return f"{self.project} {self.release.version.public}"


class Judge(Protocol):
    """Says what speaks against a release; holds a `WheelReader` of its own where it reads."""

    def __call__(self, prospect: Prospect) -> tuple[Finding, ...]:
        """Return what was found; nothing where the release can be served.

        A finding without a Python is about the whole release: the next older one is looked at. One
        with a Python costs the wheel for that Python.
        Raises AbsentError, MalformedError, IntegrityError, UnknownError, RenderError, LinkageError:
        they become findings about the release. UnreachableError: its server does not answer; the
        cell is kept as the lock has it.
        """


@dataclass(kw_only=True)
class Bench:
    """All judges of an update: reads the wheels of a prospect, asks, and remembers the answers."""

    judges: tuple[Judge, ...]
    reader: WheelReader
    narrator: Narrator
    #: file name and sha256 of the lock's wheels: what the lock has is kept where it cannot be read
    locked: frozenset[tuple[str, str | None]] = frozenset()
    #: what was read, for who makes the cell
    read: dict[OfferKey, WheelFacts | ArmtorchError] = field(default_factory=dict)
    _said: dict[tuple[object, ...], tuple[Finding, ...]] = field(default_factory=dict)

    def findings(self, prospect: Prospect) -> tuple[Finding, ...]:
        """Return what speaks against a release: one finding without a Python, or some with one.

        A wheel whose server does not answer now, or that is the lock's and can no longer be read,
        is not judged; who makes the cell meets it again.
        Raises SilentIndexError: a judge needed what cannot be had now.
        """
        key = (
            *(prospect.train, prospect.subdir.name, prospect.accelerator, prospect.project),
            tuple((python, key_of(offer)) for python, offer in prospect.wheels.items()),
            tuple((python, key_of(offer)) for python, offer in prospect.torch.items()),
        )
        if key not in self._said:
            self._said[key] = self._judged(prospect)
        return self._said[key]

    def _judged(self, prospect: Prospect) -> tuple[Finding, ...]:
        found, wheels = self._unreadable(prospect)
        for judge in self.judges:
            if not wheels or _whole(found):
                break
            torch = wheels if prospect.torch is prospect.wheels else prospect.torch
            try:
                with of_index(next(iter(wheels.values()))):
                    found += judge(replace(prospect, wheels=wheels, torch=torch))
            except AGAINST as error:
                found += (finding_of(error),)
            bad = {each.python for each in found}
            wheels = {python: offer for python, offer in wheels.items() if python not in bad}
        if whole := _whole(found):
            return whole[:1]
        if found and not set(prospect.wheels) - {each.python for each in found}:
            return (replace(found[0], python=None),)
        return found

    def _unreadable(
        self, prospect: Prospect
    ) -> tuple[tuple[Finding, ...], dict[PythonBuild, Offer]]:
        """Read the wheels that have an identity; return what is broken, and what can be judged."""
        new = (o for o in prospect.wheels.values() if o.sha256 and key_of(o) not in self.read)
        self.read.update(read_all(new, self.reader, self.narrator))
        found: dict[Finding, None] = {}
        wheels: dict[PythonBuild, Offer] = {}
        for python, offer in prospect.wheels.items():
            facts = self.read.get(key_of(offer))
            if isinstance(facts, BROKEN) and (offer.filename, offer.sha256) not in self.locked:
                own = offer.python() == python and not offer.abi3
                found[finding_of(facts, python if own else None)] = None
            elif not isinstance(facts, ArmtorchError):
                wheels[python] = offer
        return tuple(found), wheels


def finding_of(error: ArmtorchError, python: PythonBuild | None = None) -> Finding:
    """Make a finding of an error about a wheel; its kind is the error's where there is such one."""
    kinds: dict[str, FindingKind] = {kind: kind for kind in get_args(FindingKind)}
    kinds |= {"unsafe-archive": "malformed", "linkage": "audit"}
    return Finding(
        kind=kinds.get(error.kind, "render"),
        detail=error.what,
        next_step=error.next_step or "report it upstream",
        python=python,
    )


def _whole(found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(each for each in found if each.python is None)
