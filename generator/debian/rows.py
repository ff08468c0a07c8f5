"""``generator/data/debian.yaml``: which conda package is made of which Debian packages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from generator.datafiles import load_data
from generator.errors import DataError, FeedstockError
from generator.feedstock import DebianBase
from generator.feedstock.sources import PlainName
from generator.model.closed import Closed
from generator.model.names import CondaName, PackageText, SpecifierText

#: the parts of a version that those who need it may not leave (conda-build's max_pin)
Pin = Literal["x", "x.x", "x.x.x"]
#: ``{version}``, ``{upper}`` and ``{pin}`` are of the package that it is about
Spec = Annotated[str, Field(pattern=r"^[a-z0-9_]\S*( \S+){0,2}$")]
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class DebRow(Closed):
    """One conda package of Debian's."""

    conda: CondaName
    debs: Annotated[tuple[PlainName, ...], Field(min_length=1)]
    #: finds the version in Debian's, its groups joined by dots; "" for what upstream's part says
    version: str = ""
    build: str = "h{hash}_0"
    number: int = 0
    pin: Pin | None = None
    #: what depends on it depends on; empty: the name, its version and more, within the pin
    requirement: tuple[Spec, ...] = ()
    #: what else Debian's packages call it: virtual packages, and those that choose one
    stands_for: tuple[str, ...] = ()
    #: globs over the files of the packages; ** is of all folders
    files: tuple[str, ...] = ("usr/lib/{multiarch}/*.so*",)
    left_out: tuple[str, ...] = ()
    #: folder of Debian's -> folder of the prefix, before the file's own `places`
    places: dict[str, str] = field(default_factory=dict)
    #: path -> relative target
    links: dict[str, str] = field(default_factory=dict)
    #: path -> glob of files that are put together there, as a script of Debian's would
    joined: dict[str, str] = field(default_factory=dict)
    #: besides what Debian's packages say
    depends: tuple[Spec, ...] = ()
    constrains: tuple[Spec, ...] = ()
    #: dependency of Debian's that the package does without -> why
    without: dict[str, str] = field(default_factory=dict)
    #: it is the suite's Python itself
    interpreter: bool = False

    def upper(self, version: str) -> str:
        """Return the first version that the pin shuts out, ``3.5.0a0`` for 3.4.8 and ``x.x``."""
        if self.pin is None:
            return ""
        parts = [int(part) for part in _NUMBER.findall(version)][: self.pin.count("x")]
        return ".".join(map(str, (*parts[:-1], parts[-1] + 1))) + ".0a0"

    def required(self, version: str) -> tuple[str, ...]:
        """Return what those depend on that need it."""
        if self.requirement:
            return tuple(spec.format(version=version) for spec in self.requirement)
        upper = self.upper(version)
        return (f"{self.conda} >={version}{f',<{upper}' if upper else ''}",)


@dataclass(frozen=True, kw_only=True)
class MetaRow(Closed):
    """A package that holds no file of others: links, mutexes, second names."""

    conda: CondaName
    #: ``{libblas}`` is that of the package
    version: str
    build: str = "h{hash}_0"
    number: int = 0
    depends: tuple[Spec, ...] = ()
    constrains: tuple[Spec, ...] = ()
    links: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WheelRow(Closed):
    """A wheel, pure or for the subdir, as a package; the newest of these versions that fits."""

    project: PackageText
    versions: SpecifierText = ""
    #: besides what its METADATA says
    depends: tuple[Spec, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BaseRows(Closed):
    """The file."""

    #: one more whenever the same rows and .debs give other packages
    format: int
    #: the program that writes where binaries look for libraries, and the version all bytes are by
    patchelf: str
    #: milliseconds since 1970: the time of packages without files
    timestamp: int
    #: the release that the names of packages are of, and its Python
    suite: PlainName
    python: str
    #: Debian's name of a machine -> of its folders
    architectures: dict[str, str]
    #: the package of the C library, which is the system's
    libc: PlainName
    #: what is a system's own, or only Debian's way of installing
    system: tuple[str, ...]
    #: folder of Debian's -> folder of the prefix, the first that fits
    places: dict[str, str]
    packages: tuple[DebRow, ...]
    metapackages: tuple[MetaRow, ...] = ()
    wheels: tuple[WheelRow, ...] = ()

    def __post_init__(self) -> None:
        """Refuse rows of one name."""
        names = [*(row.conda for row in self.packages), *(row.conda for row in self.metapackages)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two rows for {', '.join(twice)}")

    def serving(self, name: str) -> DebRow | None:
        """Return the row that stands for a package of Debian's."""
        for row in self.packages:
            if name in row.stands_for:
                return row
        return next((row for row in self.packages if name in row.debs), None)

    def target(self, subdir: str, base: DebianBase) -> Target:
        """Return what a row of feedstock.yaml asks for; raises FeedstockError for another suite."""
        if base.suite != self.suite or base.architecture not in self.architectures:
            raise FeedstockError(
                f"debian.{subdir} asks for {base.suite} on {base.architecture}, and there are rows "
                f"for {self.suite} on {', '.join(self.architectures)}",
                where="feedstock.yaml",
                next_step="take that; the rows stand in generator/data/debian.yaml",
            )
        return Target(
            subdir=subdir,
            suite=base.suite,
            architecture=base.architecture,
            multiarch=self.architectures[base.architecture],
            python=self.python,
        )

    def debs(self) -> tuple[str, ...]:
        """Return every package of Debian's that is taken, the C library among them."""
        return tuple(sorted({self.libc, *(name for row in self.packages for name in row.debs)}))


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the rows are filled in for."""

    subdir: str
    suite: str
    #: Debian's name of the architecture, and of its folders
    architecture: str
    multiarch: str
    #: of the suite
    python: str

    def fill(self, text: str) -> str:
        """Write a row's path for this target."""
        return text.replace("{multiarch}", self.multiarch).replace("{python}", self.python)

    def places(self, *tables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Give the folders of Debian's with those of the prefix, in order."""
        for table in tables:
            for there, here in table.items():
                yield self.fill(there), self.fill(here)


@cache
def base_rows() -> BaseRows:
    """Read the file; raises DataError."""
    return load_data("debian.yaml", BaseRows)


def unmapped(row: DebRow, deb: str, name: str) -> DataError:
    """Build the error about a dependency that no row is for."""
    return DataError(
        f"{row.conda}: Debian's {deb} depends on {name}, for which there is no row",
        where="generator/data/debian.yaml",
        next_step="add a row for it, say `without` and why, or add it to `system`",
    )
