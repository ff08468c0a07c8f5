"""Requirements, markers, specifiers and versions of others, read by packaging.

Each of its exceptions becomes a MalformedError about the file that the text is of, so that it costs
that file and nothing else. Specifications: PEP 440 and PEP 508.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeVar

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from generator.errors import MalformedError

_T = TypeVar("_T", Requirement, SpecifierSet, Version)
_LONGEST = 4096
_NEXT = "report it upstream; until then leave the release out in feedstock.yaml"

#: most that one wheel of a release says all others say, too; nobody changes what is returned
_requirement = lru_cache(4096)(Requirement)


def parse_requirement(text: str, where: str) -> Requirement:
    """Read a PEP 508 requirement; raises MalformedError."""
    return _parsed(_requirement, text, where, "a requirement (PEP 508)")


def parse_specifiers(text: str, where: str) -> SpecifierSet:
    """Read a PEP 440 specifier set; raises MalformedError."""
    return _parsed(SpecifierSet, text, where, "a version specifier (PEP 440)")


def parse_version(text: str, where: str) -> Version:
    """Read a PEP 440 version; raises MalformedError."""
    return _parsed(Version, text, where, "a version (PEP 440)")


def holds(requirement: Requirement, environment: Mapping[str, str], where: str) -> bool:
    """Whether a requirement's marker holds in an environment; one without a marker does.

    Raises MalformedError: it compares what cannot be compared, or names an unknown variable.
    """
    if requirement.marker is None:
        return True
    try:
        return requirement.marker.evaluate(dict(environment))
    except (ValueError, KeyError, RecursionError) as error:
        raise MalformedError(
            f"the marker of {str(requirement)[:200]!r} has no answer: {_first_line(error)}",
            where=where,
            next_step=_NEXT,
        ) from error


def _parsed(kind: Callable[[str], _T], text: str, where: str, what: str) -> _T:
    if len(text) > _LONGEST:
        raise MalformedError(
            f"{text[:80]!r}... has {len(text):,} characters", where=where, next_step=_NEXT
        )
    try:
        return kind(text)
    except (ValueError, RecursionError) as error:  # InvalidRequirement and the others are these
        raise MalformedError(
            f"{text[:200]!r} is not {what}: {_first_line(error)}", where=where, next_step=_NEXT
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
