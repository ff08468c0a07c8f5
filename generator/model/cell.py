"""What the lock knows of a cell: its trio, its wheels and what they share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, get_args

from packaging.version import Version
from pydantic import Field

from generator.model.closed import Closed
from generator.model.fields import AcceleratorText
from generator.model.held import Held
from generator.model.names import (
    BuildKey,
    Day,
    DeclaredIndex,
    FileName,
    LineName,
    MemberPath,
    PackageText,
    Sha256,
    ShownText,
    Size,
    VersionText,
    one_line,
)
from generator.model.pin import Pin
from generator.model.python_build import PythonBuild
from generator.model.wheel import Metadata, ProjectName, Wheel

#: a Python build as text
PythonText = Annotated[str, Field(pattern=r"^[0-9]{1,2}\.[0-9]{1,3}t?$")]
TrainName = Literal["stable", "rc", "nightly"]


def of_train(train: TrainName, version: Version) -> bool:
    """Whether a version can be of a train.

    Candidates on download.pytorch.org/whl/test carry the final version in their names; that such
    a version is not released yet is for who knows the stable train to say.
    """
    if train == "nightly":
        return version.is_devrelease
    return not version.is_devrelease and (train == "rc" or not version.is_prerelease)


#: why something is not in a cell (decision D7 keeps the three apart): upstream does not serve it,
#: upstream does not answer, upstream's answer makes no sense, it cannot work beside the rest
AbsenceReason = Literal["absent", "unreachable", "malformed", "incompatible"]
#: a rule by which two members with different bytes are proven to mean the same:
#: ``build-id-and-time``: ELF, equal but for the build-id note and ``__TIME__`` strings
#: ``build-path``: text, equal but for the absolute folder it was built in
EquivalenceRule = Literal["build-id-and-time", "build-path"]


@dataclass(frozen=True, kw_only=True)
class Equivalent(Closed):
    """A member that differs between the Pythons and is proven to mean the same."""

    member: MemberPath
    rule: EquivalenceRule
    #: sha256 of the member with what the rule ignores blanked out; equal for every Python
    normalised_sha256: Sha256


@dataclass(frozen=True, kw_only=True)
class Sharing(Closed):
    """What RECORD proves to be the same in the torch wheels of all or some Pythons of a cell."""

    #: the Python whose wheel ``libtorch`` is taken from (the lowest ordinary one)
    reference: PythonText
    #: members with one sha256 in every wheel
    members: Size
    #: their uncompressed bytes
    bytes: Size
    #: sha256 over ``path,sha256,size`` lines of the shared members, sorted
    digest: Sha256
    #: members that differ or exist for one Python only, ``{abi}``-free literal paths, sorted
    per_python: tuple[MemberPath, ...]
    equivalent: tuple[Equivalent, ...] = ()
    #: the Pythons whose wheels they are; () for all that are in no other group of the cell
    pythons: tuple[PythonText, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Absence(Closed):
    """Something the feedstock asks for that the cell does not have, and why."""

    #: conda package name, or "" for the whole cell
    package: PackageText | Literal[""]
    reason: AbsenceReason
    #: plain words with the evidence
    detail: ShownText
    #: the Python it is missing for; "" for all
    python: PythonText | Literal[""] = ""

    def __post_init__(self) -> None:
        """Keep what others say of themselves to one line."""
        object.__setattr__(self, "detail", one_line(self.detail))


@dataclass(frozen=True, kw_only=True)
class Candidate(Closed):
    """Which of several wheels that upstream gave one name and version a cell of rc or nightly has.

    download.pytorch.org/whl/test has the final version in the names of all its candidates.
    """

    #: 1 for the first one seen of this version, one more each time a file's bytes changed
    number: Annotated[int, Field(ge=1)]
    #: the day (UTC) of its newest wheel, by the index, else the day it was first seen
    date: Day

    def __str__(self) -> str:
        return f"candidate {self.number} of {self.date}"


@dataclass(frozen=True, kw_only=True)
class Cell(Closed):
    """One (train, torch version, subdir, accelerator) and the wheels that upstream serves."""

    #: ``2.10``, ``legacy-2.8``, ``nightly``
    line: LineName
    train: TrainName
    subdir: LineName
    accelerator: AcceleratorText
    #: project -> version; a project that is left out has an Absence
    trio: dict[ProjectName, VersionText]
    #: what else is made for it: what torch asks for and a base lacks, and companions -> version
    fill: dict[PackageText, VersionText] = field(default_factory=dict)
    wheels: tuple[Wheel, ...] = ()
    sharing: Sharing | None = None
    #: the Pythons whose wheels cannot share that libtorch, by groups that share one of their own
    apart: tuple[Sharing, ...] = ()
    absent: tuple[Absence, ...] = ()
    #: newer releases of its projects that are not served here, and wheels that are left out
    held: tuple[Held, ...] = ()
    #: torch's own libraries in the wheel that C++ consumers link, sorted file names
    libraries: tuple[FileName, ...] = field(default=())
    #: project -> paths in its wheels where libraries for others to load lie, its own and bundled
    #: ones, sorted; every project of the cell has its row
    bundled: dict[PackageText, tuple[MemberPath, ...]] = field(default_factory=dict)
    #: rc and nightly only
    candidate: Candidate | None = None
    #: the day (UTC) since which an index of the cell does not answer; what stands here is what it
    #: had before
    unreachable_since: Day = ""
    #: indexes that may have a newer torch for it and did not answer when it was made of what others
    #: have; since when, the lock's ``silent`` says
    behind: tuple[DeclaredIndex, ...] = ()

    @property
    def torch(self) -> str:
        """The torch version the cell is about."""
        return self.trio["torch"]

    @property
    def versions(self) -> dict[str, str]:
        """The version of every project in the cell, the trio first."""
        return {str(name): found for name, found in (*self.trio.items(), *self.fill.items())}

    @property
    def name(self) -> str:
        """``2.10/linux-aarch64/cpu``: how messages call the cell."""
        return f"{self.line}/{self.subdir}/{self.accelerator}"

    def pythons(self) -> tuple[PythonBuild, ...]:
        """Return the Python builds that torch is served for, in order."""
        return tuple(sorted(w.python for w in self.wheels_of("torch") if w.python is not None))

    @property
    def groups(self) -> tuple[Sharing, ...]:
        """What its Pythons share: one libtorch is made of each."""
        return () if self.sharing is None else (self.sharing, *self.apart)

    def group_of(self, python: PythonBuild) -> Sharing | None:
        """Return what a Python's wheel shares with others."""
        own = (each for each in self.apart if str(python) in each.pythons)
        return next(own, self.sharing)

    def in_order(self) -> Cell:
        """Return the cell with its parts in their one order: torch first, then by Python."""
        names = {*self.fill, *(wheel.project for wheel in self.wheels)}
        projects = [*get_args(ProjectName), *sorted(names.difference(get_args(ProjectName)))]
        return replace(
            self,
            trio={name: self.trio[name] for name in projects if name in self.trio},
            wheels=tuple(
                sorted(
                    self.wheels,
                    key=lambda w: (
                        projects.index(w.project),
                        ()
                        if w.python is None
                        else (w.python.major, w.python.minor, w.python.freethreading),
                        w.filename,
                    ),
                )
            ),
            absent=tuple(
                sorted(self.absent, key=lambda a: (a.package, a.python, a.reason, a.detail))
            ),
            held=tuple(sorted(self.held, key=lambda h: h.order)),
            libraries=tuple(sorted(self.libraries)),
            behind=tuple(sorted(self.behind)),
            bundled={
                name: tuple(sorted(self.bundled[name])) for name in projects if name in self.bundled
            },
        )

    def wheels_of(self, project: str) -> tuple[Wheel, ...]:
        """Return the cell's wheels of one project."""
        return tuple(w for w in self.wheels if w.project == project)

    def wheel(self, project: str, python: PythonBuild) -> Wheel | None:
        """Return the wheel of ``project`` that serves ``python``, if there is one."""
        return next((w for w in self.wheels_of(project) if w.serves(python)), None)


@dataclass(frozen=True, kw_only=True)
class BuildNumber(Closed):
    """The build number of one package of a line, and the inputs it stands for (decision D8)."""

    number: Annotated[int, Field(ge=0, lt=10_000)]
    #: sha256 over recipe, build.py, map rows and wheel hashes, the number itself left out
    digest: Sha256


@dataclass(frozen=True, kw_only=True)
class CellAbsence(Closed):
    """A cell the feedstock asks for that does not exist, and why."""

    train: TrainName
    subdir: LineName
    accelerator: LineName
    reason: AbsenceReason
    detail: ShownText

    def __post_init__(self) -> None:
        """Keep what others say of themselves to one line."""
        object.__setattr__(self, "detail", one_line(self.detail))


@dataclass(frozen=True, kw_only=True)
class HeldCell(Held):
    """A torch release that a place of the feedstock is not given: its cells stay as they were."""

    train: TrainName
    subdir: LineName
    #: as feedstock.yaml asks for it: ``cpu``, ``cuda``, ``cuda130``
    accelerator: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}\*?$")]
    #: name of a line of its own; "" where the torch version names it
    line: LineName | Literal[""] = ""

    @classmethod
    def of(cls, row: Held, cell: Cell, *, instead: str, line: str = "") -> HeldCell:
        """Return the row of a cell that is not made; ``instead`` is the torch that is served."""
        return cls(
            **{**vars(row), "instead": instead},
            train=cell.train,
            subdir=cell.subdir,
            accelerator=str(cell.accelerator),
            line=line,
        )

    @property
    def place(self) -> str:
        """``stable/linux-aarch64/cuda``: how messages call what the feedstock asks for."""
        return f"{self.line or self.train}/{self.subdir}/{self.accelerator}"


@dataclass(frozen=True, kw_only=True)
class Lock(Closed):
    """feedstock.lock.yaml: what exists upstream, as of the last ``armtorch update``."""

    cells: tuple[Cell, ...] = ()
    #: sha256 of a METADATA file -> what it says
    metadata: dict[Sha256, Metadata] = field(default_factory=dict)
    #: ``<line>/<package>`` -> build number
    builds: dict[BuildKey, BuildNumber] = field(default_factory=dict)
    #: whole cells that the feedstock asks for and upstream does not serve
    absent: tuple[CellAbsence, ...] = ()
    #: torch releases that are held back, by the place they would have been for
    held: tuple[HeldCell, ...] = ()
    #: index that does not answer -> the day (UTC) since which it does not
    silent: dict[DeclaredIndex, Day] = field(default_factory=dict)
    #: subdir -> what the base of its own is made of: packages of Debian's, and wheels
    base: dict[LineName, tuple[Pin, ...]] = field(default_factory=dict)

    @property
    def by_name(self) -> dict[str, Cell]:
        """The cells by their names."""
        return {cell.name: cell for cell in self.cells}

    def all_held(self) -> tuple[tuple[str, Held], ...]:
        """Return everything that is held back, with the cell or the place it is held from."""
        rows = [(cell.name, row) for cell in self.cells for row in cell.held]
        return (*rows, *((row.place, row) for row in self.held))

    def in_order(self) -> Lock:
        """Return the lock in its one order, whatever order its parts were found in."""
        return replace(
            self,
            cells=tuple(
                cell.in_order()
                for cell in sorted(
                    self.cells, key=lambda c: (c.train, c.line, c.subdir, str(c.accelerator))
                )
            ),
            metadata=dict(sorted(self.metadata.items())),
            builds=dict(sorted(self.builds.items())),
            absent=tuple(
                sorted(
                    self.absent,
                    key=lambda a: (a.train, a.subdir, a.accelerator, a.reason, a.detail),
                )
            ),
            held=tuple(sorted(self.held, key=lambda h: (h.place, h.order))),
            silent=dict(sorted(self.silent.items())),
            base={
                subdir: tuple(sorted(pins, key=lambda pin: pin.purl))
                for subdir, pins in sorted(self.base.items())
            },
        )
