"""Which packages there are: data/packages.yaml, read and asked by every room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Annotated, Literal

from packaging.specifiers import SpecifierSet
from pydantic import Field

from generator.datafiles import load_data, subdirs
from generator.errors import DataError
from generator.model import Accelerator
from generator.model.closed import Closed
from generator.model.names import PackageText, PlainText, SpecifierText

#: of METADATA's requirements: libraries without Python code, the others, both
Part = Literal["native", "python", "all"]
_Module = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]


@dataclass(frozen=True, kw_only=True)
class Taken(Closed):
    """What a package works with where there is one, and what does not work without."""

    versions: SpecifierText
    #: `for` in the row
    what: Annotated[PlainText, Field(alias="for")]


@dataclass(frozen=True, kw_only=True)
class Package(Closed):
    """A row of data/packages.yaml; that file explains the words."""

    made: Literal["cell", "python", "wheel"]
    project: PackageText | Literal[""] = ""
    accelerators: tuple[Literal["cpu", "cuda"], ...] = ("cpu", "cuda")
    subdirs: tuple[PackageText, ...] = ()
    requirements: Part = "all"
    imports: tuple[_Module, ...] = ()
    homepage: Annotated[PlainText, Field(pattern=r"^(https://[!-~]+)?$")] = ""
    stable: str = ""
    takes: dict[PackageText, Taken] = field(default_factory=dict, hash=False)
    aside: PackageText | Literal[""] = ""

    def wanted(self, subdir: str, accelerator: Accelerator) -> bool:
        """Whether the cells of a subdir and accelerator want it."""
        kind: Literal["cpu", "cuda"] = "cpu" if accelerator.cuda is None else "cuda"
        return kind in self.accelerators and (not self.subdirs or subdir in self.subdirs)

    def any_build(self, version: str) -> bool:
        """Whether a version goes with any build of its cell's torch, another channel's, too."""
        return bool(self.stable) and SpecifierSet(self.stable, prereleases=True).contains(version)

    @property
    def companion(self) -> bool:
        """Whether it is another project's that goes with one build of torch."""
        return self.made == "python" and self.project != "torch"


@dataclass(frozen=True, kw_only=True)
class _File(Closed):
    format: Literal[1]
    packages: dict[PackageText, Package]
    taken: tuple[PackageText, ...]


@dataclass(frozen=True, kw_only=True)
class _Named:
    conda: str


@dataclass(frozen=True, kw_only=True)
class _Names:
    """What of pypi_names.yaml says who has which conda name."""

    projects: dict[str, _Named]
    same_name: tuple[str, ...]


@cache
def packages() -> Mapping[str, Package]:
    """Return every package by its conda name, in the order in which they are built.

    Raises DataError: a row does not fit, is about a wheel that it does not name, or has the name of
    what others make: an environment would get ours instead of theirs.
    """
    file = load_data("packages.yaml", _File)
    rows, names = dict(_with_asides(file.packages)), load_data("pypi_names.yaml", _Names)
    owners = {each.conda: project for project, each in names.projects.items()}
    owners |= {each: each for each in names.same_name} | dict.fromkeys(file.taken, "others")
    for name, row in rows.items():
        if owners.get(name, row.project) != row.project:
            raise DataError(
                f"packages.{name} is made of {row.project or 'nothing'}, and the package of that "
                f"name is that of {owners[name]}",
                where="packages.yaml",
                next_step="give it another name",
            )
        if not row.project and row.made != "cell":
            raise DataError(
                f"packages.{name} is made once per {row.made} and names no project",
                where="packages.yaml",
                next_step="name the project on its index that has its wheels",
            )
        if unknown := sorted({*row.subdirs} - {*subdirs()}):
            raise DataError(
                f"packages.{name} is for {unknown[0]}, which is no subdir that armtorch knows",
                where="packages.yaml",
                next_step=f"take of {', '.join(subdirs())}",
            )
    return MappingProxyType(dict(sorted(rows.items(), key=lambda each: each[1].made != "wheel")))


def _with_asides(rows: Mapping[str, Package]) -> Iterator[tuple[str, Package]]:
    """Yield each row, and what it is called aside as a row that follows it."""
    for name, row in rows.items():
        yield name, row
        if row.aside in rows:
            raise DataError(
                f"packages.{name} is called {row.aside} aside, which is another row's name",
                where="packages.yaml",
                next_step="give it another name",
            )
        if row.aside and "cuda" in row.accelerators:
            yield row.aside, replace(row, accelerators=("cuda",), aside="")


@cache
def _asides() -> Mapping[str, str]:
    return MappingProxyType({row.aside: name for name, row in packages().items() if row.aside})


def known_as(package: str) -> str:
    """Return the name under which data files have a package: not the one that it has aside."""
    return _asides().get(package, package)


@cache
def projects() -> Mapping[str, str]:
    """Return the upstream project of each package that unpacks a wheel, by conda name."""
    return MappingProxyType({name: row.project for name, row in packages().items() if row.project})


def is_companion(project: str) -> bool:
    """Whether what is made from a project's wheels goes with one build of torch."""
    return any(row.companion for row in packages().values() if row.project == project)


def any_build(project: str, version: str) -> bool:
    """Whether what is made from a version of a project goes with any build of its cell's torch."""
    return any(r.any_build(version) for r in packages().values() if r.project == project)


def wanted(project: str, subdir: str, accelerator: Accelerator) -> bool:
    """Whether a cell wants a package that is made from a project's wheels."""
    rows = [row for row in packages().values() if row.project == project]
    return any(row.wanted(subdir, accelerator) for row in rows)


@dataclass(frozen=True)
class Choice:
    """A package of builds that each ask for what another package takes, and one for nothing."""

    own: str
    other: str
    aside: str


@cache
def choices() -> Mapping[str, Choice]:
    """Return the packages that stand for a choice."""
    rows = packages()
    found = (
        Choice(own, other, rows[other].aside if other in rows else "")
        for own, row in rows.items()
        for other in row.takes
    )
    return MappingProxyType({f"{each.own}-{each.other}": each for each in found})


@cache
def unbound() -> frozenset[str]:
    """Return the packages that are bound to no torch: they fill gaps of a base (decision D12)."""
    return frozenset(name for name, row in packages().items() if row.made == "wheel")


@cache
def shared() -> tuple[str, ...]:
    """Return the packages with what the wheels of all Pythons share (decision D2)."""
    return tuple(name for name, row in packages().items() if row.made == "cell" and row.project)


@dataclass(frozen=True, kw_only=True)
class OwnRequirements(Closed):
    """The whole of data/own_package.yaml; that file explains the words."""

    format: Literal[1]
    optional: tuple[PackageText, ...]
    versions: dict[PackageText, SpecifierText]


@cache
def own_requirements() -> OwnRequirements:
    """Return what armtorch's own package does not ask for as its wheel does."""
    return load_data("own_package.yaml", OwnRequirements)
