"""What becomes a cell before its wheels are read, and what a wish still waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from generator.model.accelerator import Accelerator
from generator.model.cell import Absence, HeldCell
from generator.model.held import Held
from generator.model.python_build import PythonBuild
from generator.updating.catalogue import Release
from generator.updating.wishes import Wish


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A cell to be: versions are chosen, what speaks against them is known."""

    wish: Wish
    accelerator: Accelerator
    pythons: tuple[PythonBuild, ...]
    trio: Mapping[str, Release]
    #: what the base channel lacks
    fill: Mapping[str, Release] = field(default_factory=dict)
    absent: tuple[Absence, ...] = ()
    #: newer releases, and wheels of the chosen ones, that something speaks against
    held: tuple[Held, ...] = ()
    #: indexes that may have a newer torch and did not answer
    behind: tuple[str, ...] = ()

    @property
    def releases(self) -> dict[str, Release]:
        """The release of every project, the trio first."""
        return {**self.trio, **{str(project): found for project, found in self.fill.items()}}

    @property
    def torch(self) -> Version:
        """The version of torch, without its local part."""
        return Version(self.trio["torch"].version.public)

    def leaves_out(self, project: str, python: PythonBuild) -> bool:
        """Whether the wheel of the chosen release for a Python is held back."""
        release = self.releases[project].version.public
        return any(
            (h.project, h.version, h.python) == (project, release, python) for h in self.held
        )


@dataclass(frozen=True)
class Choice:
    """What a wish gets: the drafts, newest first, and the torch releases it is not given."""

    drafts: tuple[Draft, ...]
    held: tuple[HeldCell, ...]


@dataclass
class Wanted:
    """What a wish still waits for, while releases go by from the newest on."""

    wish: Wish
    open: set[str]
    minors: set[tuple[int, int]] = field(default_factory=set)
    releases: set[Version] = field(default_factory=set)

    def wants(self, version: Version, *, complete: bool) -> bool:
        """Whether a release is one of those."""
        minor = version.release[0], version.minor
        return (
            bool(_marks(complete=complete) & self.open)
            or (minor not in self.minors and len(self.minors) < self.wish.minors)
            or (version not in self.releases and len(self.releases) < self.wish.releases)
        )

    def take(self, version: Version, *, complete: bool) -> None:
        """Count a release as taken."""
        self.open -= _marks(complete=complete)
        if len(self.minors) < self.wish.minors:
            self.minors.add((version.release[0], version.minor))
        if len(self.releases) < self.wish.releases:
            self.releases.add(version)

    @property
    def done(self) -> bool:
        """Whether nothing that is older can be wanted."""
        return (
            not self.open
            and len(self.minors) >= self.wish.minors
            and len(self.releases) >= self.wish.releases
        )


def _marks(*, complete: bool) -> set[str]:
    return {"newest", *(("newest-complete",) if complete else ())}
