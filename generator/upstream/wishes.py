"""What update is asked for, taken apart into one wish per train or line, subdir and accelerator.

The protocols are what upstream needs to know of feedstock.yaml; the feedstock room's dataclasses
fit them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from generator.model.accelerator import Accelerator
from generator.model.cell import TrainName
from generator.model.python_build import Pythons
from generator.model.subdir import Subdir
from generator.upstream.claims import IndexSource
from generator.upstream.wheel_reader import ArchivePolicies

Keep = Literal["newest", "newest-complete"]
#: the accelerator that stands for every CUDA line which upstream still makes
EVERY_LINE: Final = "cuda*"
#: of how many newest minors of torch a line must have one for that
RECENT: Final = 3


class AskedTrain(Protocol):
    """The policy of a train."""

    @property
    def keep(self) -> tuple[Keep, ...]:
        """Which releases become lines."""

    @property
    def minors(self) -> int:
        """Of how many newest minors the newest patch does, too."""

    @property
    def releases(self) -> int:
        """How many newest releases do, too."""

    @property
    def indexes(self) -> tuple[str, ...]:
        """Where to look, in order."""


class AskedSubdir(Protocol):
    """What a subdir is built for."""

    @property
    def accelerators(self) -> tuple[str, ...]:
        """``cpu``, ``cuda`` or one CUDA line."""


class AskedLine(Protocol):
    """A line beside the trains' own."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def torch(self) -> str:
        """PEP 440 specifier."""

    @property
    def train(self) -> TrainName:
        """The train whose indexes and releases it takes from."""

    @property
    def subdirs(self) -> tuple[Any, ...]:
        """Names of subdirs."""

    @property
    def accelerators(self) -> tuple[str, ...]:
        """As in a subdir."""

    @property
    def pythons(self) -> Pythons:
        """Its Python builds."""


class Asked(Protocol):
    """The feedstock."""

    @property
    def indexes(self) -> Mapping[str, IndexSource]:
        """Indexes by name."""

    @property
    def trains(self) -> Mapping[TrainName, AskedTrain]:
        """Trains by name."""

    @property
    def subdirs(self) -> Mapping[Any, AskedSubdir]:
        """Subdirs by conda's name."""

    @property
    def pythons(self) -> Pythons:
        """Python builds."""

    @property
    def packages(self) -> tuple[Any, ...]:
        """Upstream projects."""

    @property
    def fill(self) -> tuple[str, ...]:
        """What else is repacked where torch asks for it."""

    @property
    def companions(self) -> tuple[str, ...]:
        """What else is made for a torch that it goes with."""

    @property
    def lines(self) -> tuple[Any, ...]:
        """Lines beside the trains' own (AskedLine)."""

    @property
    def policies(self) -> ArchivePolicies:
        """Limits."""


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


def of_train(train: TrainName, version: Version) -> bool:
    """Whether a version can be of a train.

    Candidates on download.pytorch.org/whl/test carry the final version in their names; that such
    a version is not released yet is for who knows the stable train to say.
    """
    if train == "nightly":
        return version.is_devrelease
    return not version.is_devrelease and (train == "rc" or not version.is_prerelease)


def wishes(asked: Asked, known: Mapping[str, Subdir]) -> Iterator[Wish]:
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


def _of_line(line: AskedLine, known: Mapping[str, Subdir]) -> Iterator[Wish]:
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
