"""Chooses what fills a gap of the base channel: the release that torch's own METADATA asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from generator.model.cell import Absence
from generator.model.python_build import PythonBuild
from generator.model.subdir import Subdir
from generator.updating.catalogue import Catalogue, Release


def choose_fill(
    wanted: Iterable[str],
    requirements: Iterable[Requirement],
    catalogue: Catalogue,
    subdir: Subdir,
    pythons: tuple[PythonBuild, ...],
    take: Callable[[str, Iterator[Release]], Release | None] = lambda _, found: next(found, None),
) -> tuple[dict[str, Release], tuple[Absence, ...]]:
    """Return the newest release of each project that a torch's requirements admit (decision D12).

    What torch's own requirements do not name is left out without a word. ``take`` picks one of a
    project's fitting releases, newest first. Returned is also what is asked for and has no wheel.
    """
    found: dict[str, Release] = {}
    absent: list[Absence] = []
    asked = {canonicalize_name(each.name): each for each in requirements}
    for project in wanted:
        if (requirement := asked.get(canonicalize_name(project))) is None:
            continue
        fitting = (
            release
            for release in catalogue.releases(project, subdir)
            if requirement.specifier.contains(release.version, prereleases=True)
            and any(catalogue.best(project, release, subdir, python) for python in pythons)
        )
        if (first := next(fitting, None)) is not None:
            if (release := take(project, chain([first], fitting))) is not None:
                found[project] = release
        else:
            detail = f"no index has a wheel of {requirement} for {subdir}; torch needs it"
            absent.append(Absence(package=project, reason="absent", detail=detail))
    return found, tuple(absent)
