"""What is held back of upstream's releases, and why: findings, and their rows in the lock (D13).

An `Absence` is a fact about upstream; what is held is there, and armtorch does not serve it yet.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from generator.model.closed import Closed
from generator.model.fields import PythonBuildText
from generator.model.names import Day, PackageText, Sha256, ShownText, VersionText, one_line

#: what a finding is about. Seen by `update`:
#: ``patch``: a text patch that the release still needs finds nothing to patch
#: ``licence``: neither text nor classifiers say a licence that can be published
#: ``dependency``: a requirement without a conda package, or one that holds for some Pythons only
#: ``soname``: a bundled library that clashes with one of the base channel
#: ``layout``: members that no rule of data/layout.yaml may place
#: ``symbols``: undefined symbols that nothing it is paired with exports
#: ``absent``: the index lists the file, and its server says that it is not there
#: ``malformed``: the file breaks its own format
#: ``integrity``: bytes that do not have the sha256 that was promised
#: ``tag``: a Python or platform tag that armtorch does not know
#: ``cuda``: a CUDA line that armtorch does not know
#: ``render``: the recipe that it gives is refused
#: Seen by building only: ``build``, ``audit`` (linkage), ``test``
FindingKind = Literal[
    "patch",
    "licence",
    "dependency",
    "soname",
    "layout",
    "symbols",
    "absent",
    "malformed",
    "integrity",
    "tag",
    "cuda",
    "render",
    "build",
    "audit",
    "test",
]


@dataclass(frozen=True, kw_only=True)
class Finding(Closed):
    """Something about one release, or its wheel for one Python, that speaks against serving it."""

    kind: FindingKind
    #: plain words with the evidence; stands in the lock, so it names no host and no local path
    detail: ShownText
    #: what a person can do about it, or what is waited for
    next_step: ShownText
    #: the Python whose wheel it is about; None for the release as a whole
    python: PythonBuildText | None = None
    #: digest of armtorch's code and data that a build was judged with: it is tried again when that
    #: changes. "" for what `update` sees itself, and so looks at each time
    judged_by: Sha256 | Literal[""] = ""

    def __post_init__(self) -> None:
        """Keep what others say of themselves to one line."""
        object.__setattr__(self, "detail", one_line(self.detail))
        object.__setattr__(self, "next_step", one_line(self.next_step))

    def held(self, project: str, version: str, *, since: str, instead: str = "") -> Held:
        """Return the row of a release that it holds back."""
        said = {each.name: getattr(self, each.name) for each in fields(Finding)}
        return Held(**said, project=project, version=version, since=since, instead=instead)


@dataclass(frozen=True, kw_only=True)
class Held(Finding):
    """One release, or its wheel for one Python, that a cell is not given."""

    #: upstream's project
    project: PackageText
    #: the release that is held back
    version: VersionText
    #: the day (UTC) it was first held back on, ISO 8601
    since: Day
    #: the version that is served in its place; "" where none is
    instead: VersionText | Literal[""] = ""

    @property
    def finding(self) -> Finding:
        """What speaks against it."""
        return Finding(**{each.name: getattr(self, each.name) for each in fields(Finding)})

    @property
    def order(self) -> tuple[str, ...]:
        """Sort key."""
        return (self.project, self.version, str(self.python or ""), self.kind, self.detail)

    @property
    def subject(self) -> str:
        """``torchaudio 2.11.1 for Python 3.14``."""
        python = f" for Python {self.python}" if self.python else ""
        return f"{self.project} {self.version}{python}"

    @property
    def reason(self) -> str:
        """``patch: its target is gone; 2.11.0 is served``."""
        served = f"; {self.instead} is served" if self.instead else ""
        return f"{self.kind}: {self.detail}{served}"

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"
