"""The seam through which findings about a release reach the choice of the trio (design D13).

Whoever can say something about a release before it is locked is a judge: names and licences,
layout, symbols. The chooser asks all of them about each release it is about to take, and what they
find costs that release, or its wheel for one Python, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from generator.model.accelerator import Accelerator
from generator.model.cell import TrainName
from generator.model.held import Finding
from generator.model.python_build import PythonBuild
from generator.model.subdir import Subdir
from generator.upstream.catalogue import Release
from generator.upstream.offers import Offer


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

        Raises:
            AbsentError, MalformedError, IntegrityError: of a wheel that cannot be read; they
                become findings about it.
            UnreachableError: its server does not answer; the cell is kept as the lock has it.

        """
