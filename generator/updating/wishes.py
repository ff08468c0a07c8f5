"""What update is asked for, taken apart into one wish per train or line, subdir and accelerator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from generator.feedstock import Feedstock, Line
from generator.feedstock.declaration import Keep
from generator.model.accelerator import Accelerator
from generator.model.cell import TrainName, of_train
from generator.model.python_build import Pythons
from generator.model.subdir import Subdir

#: the accelerator that stands for every CUDA line which upstream still makes
EVERY_LINE: Final = "cuda*"
#: of how many newest minors of torch a line must have one for that
RECENT: Final = 3


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One (train, subdir, accelerator) and which torch is wanted for it."""

    train: TrainName
    subdir: Subdir
    #: ``cpu``, ``cuda`` for whatever CUDA it turns out to be, one line as ``cuda130``, or ``cuda*``
    #: for each
    accelerator: str
    keep: tuple[Keep, ...]
    pythons: Pythons
    #: name of a line of its own; "" where the torch version names it
    line: str = ""
    torch: SpecifierSet = field(default_factory=SpecifierSet)
    #: besides, the newest patch of so many newest minors
    minors: int = 0
    #: besides, so many newest releases
    releases: int = 0

    def fits(self, accelerator: Accelerator) -> bool:
        """Whether a wheel for ``accelerator`` is what is wished for."""
        if self.accelerator in {"cuda", EVERY_LINE}:
            return accelerator.cuda is not None and not accelerator.tegra
        return str(accelerator) == self.accelerator

    def admits(self, version: Version) -> bool:
        """Whether a torch version is of the train and within the line's specifier."""
        return of_train(self.train, version) and self.torch.contains(
            version.public, prereleases=True
        )

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{self.line or self.train}/{self.subdir}/{self.accelerator}"


def wishes(asked: Feedstock, known: Mapping[str, Subdir]) -> Iterator[Wish]:
    """Take the feedstock apart, trains first, then lines, in the file's order."""
    for train, policy in asked.trains.items():
        for subdir, selection in asked.subdirs.items():
            for accelerator in selection.accelerators:
                yield Wish(
                    train=train,
                    subdir=known[subdir],
                    accelerator=accelerator,
                    keep=policy.keep,
                    pythons=asked.pythons,
                    minors=policy.minors,
                    releases=policy.releases,
                )
    for line in asked.lines:
        yield from _of_line(line, known)


def _of_line(line: Line, known: Mapping[str, Subdir]) -> Iterator[Wish]:
    for subdir in line.subdirs:
        for accelerator in line.accelerators:
            yield Wish(
                train=line.train,
                subdir=known[subdir],
                accelerator=accelerator,
                keep=("newest",),
                pythons=line.pythons,
                line=line.name,
                torch=SpecifierSet(line.torch),
            )
