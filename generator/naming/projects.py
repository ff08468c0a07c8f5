"""What a PyPI project is called and carries in conda: the rows of data/pypi_names.yaml."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Final, Literal

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from pydantic import AfterValidator, Field
from rattler import MatchSpec
from rattler.exceptions import InvalidMatchSpecError

from generator.datafiles import load_data
from generator.model.accelerator import ArmVariant
from generator.model.closed import Closed
from generator.model.names import CondaName, SpecifierText, VersionText
from generator.model.python_build import PythonBuild


def _normalised(project: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", project):
        raise ValueError(f"{project!r} is not a normalised name (PEP 503)")
    return project


def _spec(text: str) -> str:
    if not _FIELDS.fullmatch(text):
        raise ValueError(f"{text!r} has other fields than {{cuda}} and {{next}}")
    try:
        # of a CUDA line, what it says of it
        MatchSpec(text.format(cuda="13.0", next="14"), strict=True)
    except InvalidMatchSpecError as error:
        raise ValueError(f"{text!r} is not a MatchSpec: {error}") from error
    return text


#: what is not format's own in a spec, and what it fills in
_FIELDS: Final = re.compile(r"([^{}]|\{cuda\}|\{next\})*")
#: a MatchSpec in a row
Spec = Annotated[str, AfterValidator(_spec)]


@dataclass(frozen=True, kw_only=True)
class Pin(Closed):
    """How an exact pin on PyPI becomes a range in conda."""

    #: release parts of the lower bound
    keep: Annotated[int, Field(ge=1, le=4)]
    #: the part, counted from 1, that must not grow
    below: Annotated[int, Field(ge=1, le=3)]


@dataclass(frozen=True, kw_only=True)
class Unstated(Closed):
    """What a project imports or includes though its METADATA does not ask for it."""

    spec: Spec
    why: str
    #: PEP 440 specifiers of the project's version and of Python's minor; empty: all of them
    versions: SpecifierText = ""
    pythons: SpecifierText = ""
    #: subdirs that are better off without: their base channel has no such package
    not_on: tuple[str, ...] = ()
    #: it is what the libraries and headers need, without any Python
    native: bool = False

    def holds(self, version: str, python: PythonBuild | None, subdir: str) -> bool:
        """Whether a release needs it on a Python; without a Python, whether every Python does."""
        if subdir in self.not_on:
            return False
        if version not in SpecifierSet(self.versions, prereleases=True):
            return False
        return not self.pythons or (
            python is not None and python.version in SpecifierSet(self.pythons)
        )


@dataclass(frozen=True, kw_only=True)
class ProjectRow(Closed):
    """One PyPI project in conda's terms."""

    conda: CondaName
    trio: bool = False
    #: what METADATA states -> SPDX expression, where somebody read the text
    license: dict[str, str] = field(default_factory=dict)
    native: bool = False
    dist: bool = True
    pin: Pin | None = None
    floors: dict[str, VersionText] = field(default_factory=dict)
    #: major.minor of the requirement, any without a pin -> extra -> spec, None where none is needed
    extras: dict[str, dict[str, Spec | None]] = field(default_factory=dict)
    unstated: tuple[Unstated, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class NameMap(Closed):
    """The whole of data/pypi_names.yaml."""

    format: Literal[1]
    projects: dict[Annotated[str, AfterValidator(_normalised)], ProjectRow]
    same_name: tuple[Annotated[str, AfterValidator(_normalised)], ...]
    without_dist: tuple[str, ...]
    accelerators: dict[ArmVariant | Literal["linux"], tuple[Spec, ...]]
    python_minors: tuple[int, ...]

    def knows(self, project: str) -> bool:
        """Whether a row or the list of equal names says what a project is called in conda."""
        name = canonicalize_name(project)
        return name in self.projects or name in self.same_name

    def row(self, project: str) -> ProjectRow:
        """Return the row of a project, or one that says: same name, an ordinary package."""
        name = canonicalize_name(project)
        if (row := self.projects.get(name)) is not None:
            return row
        dist = not any(fnmatch.fnmatchcase(name, pattern) for pattern in self.without_dist)
        return ProjectRow(conda=name, dist=dist)


@cache
def name_map() -> NameMap:
    """Read data/pypi_names.yaml.

    Raises DataError: a row does not fit, a name is not normalised (PEP 503), or a spec is not one
    that conda can read.
    """
    return load_data("pypi_names.yaml", NameMap)


def python_builds() -> tuple[PythonBuild, ...]:
    """Return the Pythons that are known, without free-threading."""
    return tuple(PythonBuild(3, minor) for minor in name_map().python_minors)


def conda_name(project: str) -> str:
    """Return the conda name of a PyPI project: ``torch`` is ``pytorch``, most are the same."""
    return name_map().row(project).conda
