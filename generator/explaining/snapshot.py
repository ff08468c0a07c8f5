"""What was seen of channels and wheels on one day, for where nobody answers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import BaseModel, ConfigDict

from generator.datafiles import load_data, subdirs
from generator.explaining.reading_pip import PipRequest
from generator.explaining.records import minor_of
from generator.explaining.requirements import Place, label_of, specifiers


class Snapshot(BaseModel):
    """All of snapshot.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: str
    #: what cannot change any more of a channel
    channels: dict[str, str]
    #: project, release, subdir: the Pythons with a wheel, or ``any``
    wheels: dict[str, dict[str, dict[str, str]]]


@cache
def snapshot() -> Snapshot:
    """Return snapshot.yaml; raises DataError."""
    return load_data("snapshot.yaml", Snapshot)


def had(project: str, place: Place) -> list[str]:
    """Return the releases that there were wheels of."""
    releases = snapshot().wheels.get(canonicalize_name(project), {})
    return [each for each, row in releases.items() if place.has(row.get(place.subdir, ""))]


def seen(wanted: Requirement, place: Place) -> tuple[bool | None, str]:
    """Say whether PyPI had a wheel that fits, and which; None where that does not tell."""
    releases = snapshot().wheels.get(canonicalize_name(wanted.name), {})
    if not releases or place.subdir not in subdirs():
        return None, ""
    dated = f"(seen on {snapshot().day})"
    there = [Version(text) for text in had(wanted.name, place)]
    fitting = [version for version in there if wanted.specifier.contains(version)]
    for_python = f" and Python {place.python}" if place.python else ""
    if fitting:
        pythons = releases[str(max(fitting))][place.subdir].split()
        if not place.python and pythons != ["any"]:  # nobody told which one is in the environment
            for_python = f" and Python {' or '.join(pythons)}"
        what = f"{wanted.name} {max(fitting)} has a wheel"
        return True, f"{what} for {place.subdir}{for_python} {dated}"
    newest = max(map(Version, releases))
    if label := label_of(str(wanted)):
        return False, f"PyPI has no wheel with {label}"
    if wanted.specifier.contains(Version(f"{newest.major}.{newest.minor + 50}")):
        # a newer release may have one
        return None, f"PyPI had none for {place.subdir}{for_python} up to {newest} {dated}"
    lacks = f"no wheel of {wanted} for {place.subdir}{for_python}"
    return False, f"{lacks}; there is {versions_in_words(there)} {dated}"


def versions_in_words(versions: Iterable[Version]) -> str:
    """Name the newest of some versions."""
    found = sorted(set(versions), reverse=True)
    return ", ".join(map(str, found[:5])) + (" ..." if found[5:] else "") if found else "none"


def pythons_with(request: PipRequest, subdir: str) -> str:
    """Return the Pythons that all pinned wheels are there for, as far as the snapshot tells."""
    left: set[str] | None = None
    for wanted in map(Requirement, request.requirements):
        releases = snapshot().wheels.get(canonicalize_name(wanted.name), {})
        pins = [releases[part.version] for part in specifiers(wanted) if part.version in releases]
        there = set(pins[0].get(subdir, "any").split()) if pins else {"any"}
        if there != {"any"}:
            left = there if left is None else left & there
    return " or ".join(sorted(left or (), key=lambda each: (minor_of(each), each)))


def elsewhere(place: Place) -> bool:
    """Whether upstream's CPU index has torch for a subdir, and PyPI has no release of it."""
    releases = snapshot().wheels["torch"].values()
    return "cpu" in place.labels and not any(place.subdir in each for each in releases)
