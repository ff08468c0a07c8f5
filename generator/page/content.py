"""What the page says, as plain values; nothing here knows of HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from generator.model.cell import TrainName

CellState = Literal["here", "blocked", "unbuilt", "absent", "held"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One option of the selector."""

    value: str
    name: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Combination:
    """One combination that can be installed, and how."""

    machine: str
    accelerator: str
    python: str
    #: ``2.10``, or the name of a moving train
    train: str
    #: of the sub-channel it is in; "" for the channel itself
    label: str
    #: of pytorch
    version: str
    #: what is asked for, as match specs
    specs: tuple[str, ...]
    #: tool -> the exact text to copy
    commands: dict[str, str] = field(hash=False)


@dataclass(frozen=True, kw_only=True)
class CoverageCell:
    """One machine, accelerator, torch and Python: is it here, and if not, why."""

    state: CellState
    version: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class CoverageRow:
    """One line of the grid; `elsewhere` has a column per other channel."""

    machine: str
    accelerator: str
    #: ``2.10``, ``nightly``; "" where there is no cell
    line: str
    train: str
    version: str
    trio: dict[str, str]
    #: Python -> cell
    cells: dict[str, CoverageCell] = field(default_factory=dict)
    #: channel -> newest version there, or what it lacks
    elsewhere: dict[str, str] = field(default_factory=dict)
    #: why there is nothing at all
    reason: str = ""
    #: newer releases of upstream's that are held back, and why, or that nobody could look for
    held: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WheelSource:
    """The upstream wheel that a package was made from."""

    purl: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Build:
    """One package file."""

    file_name: str
    subdir: str
    train: TrainName
    version: str
    build: str
    size: int
    sha256: str
    #: ISO date of the wheel's newest member (decision D8), "" when not known
    date: str
    license: str
    depends: tuple[str, ...]
    constrains: tuple[str, ...]
    sources: tuple[WheelSource, ...] = ()
    #: why it was yanked, "" when it was not
    yanked: str = ""
    #: names and reasons of hotfixes that changed its record
    hotfixes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class PackageLine:
    """What the front page says of a package."""

    name: str
    summary: str
    #: the newest
    version: str
    #: how many
    builds: int
    size: int
    licenses: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PackagePage:
    """One package with all its builds, releases before other trains, newest first."""

    name: str
    summary: str
    builds: tuple[Build, ...]

    @property
    def line(self) -> PackageLine:
        """What the front page says of it."""
        return PackageLine(
            name=self.name,
            summary=self.summary,
            version=self.builds[0].version,
            builds=len(self.builds),
            size=self.size,
            licenses=self.licenses,
        )

    @property
    def updated(self) -> str:
        """ISO date of the newest build."""
        return max(build.date for build in self.builds)

    @property
    def versions(self) -> dict[str, list[Build]]:
        """The builds of each version, in their order: the first is the newest release, if any."""
        found: dict[str, list[Build]] = {}
        for build in self.builds:
            found.setdefault(build.version, []).append(build)
        return found

    @property
    def size(self) -> int:
        """Bytes of all its builds."""
        return sum(build.size for build in self.builds)

    @property
    def licenses(self) -> tuple[str, ...]:
        """The licences its builds state."""
        return tuple(sorted({build.license for build in self.builds if build.license}))


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes on the channel, in the wheels they stand for, and what a host would take."""

    packages: int
    wheels: int
    #: name of the host -> bytes of its free plan
    limits: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PageContent:
    """Everything the page says."""

    channel: str
    base: tuple[str, ...]
    machines: tuple[Choice, ...]
    accelerators: tuple[Choice, ...]
    pythons: tuple[Choice, ...]
    trains: tuple[Choice, ...]
    #: train -> how people call it
    train_names: dict[str, str]
    #: train -> the sub-channel that its commands name, where it has one
    sub_channels: dict[str, str]
    offers: tuple[Combination, ...]
    coverage: tuple[CoverageRow, ...]
    packages: tuple[PackageLine, ...]
    sizes: Sizes
    #: what the selector shows first, as a place in `offers`
    first: int = 0
    #: name, reason
    hotfixes: tuple[tuple[str, str], ...] = ()
    #: machines on which a package of the channel installs and does not work, and what to do there
    warnings: tuple[tuple[str, str], ...] = ()
    #: Jetson's JetPacks, and the cell that serves them best: its place, torch and accelerator
    boards: tuple[tuple[str, str], ...] = ()
    #: ISO date of the newest package
    updated: str = ""
    #: ISO time at which CI last looked at upstream, "" where nobody asked
    looked: str = ""

    @property
    def without_gpu(self) -> bool:
        """Whether it offers what needs a GPU, which no job of the CI has."""
        return any(offer.accelerator != "cpu" for offer in self.offers)
