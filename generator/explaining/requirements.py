"""What a requirement of pip says, and what was seen of its wheels on one day (snapshot.yaml)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import BaseModel, ConfigDict

from generator.datafiles import load_data, subdirs
from generator.explaining.facts import facts, pattern
from generator.explaining.reading_pip import PipRequest, is_requirement
from generator.explaining.records import minor_of
from generator.model import PythonBuild
from generator.packages import is_companion


@dataclass(frozen=True)
class Place:
    """Where pip installs."""

    subdir: str
    #: "" for one that is not known
    python: str = ""
    #: the Pythons that a project is for, where none is known (PEP 621, ``requires-python``)
    requires: str = ""
    #: the kernel's release, as markers ask for it
    release: str = ""
    #: wheels of Linux are for glibc (PEP 600), upstream has none for musl (PEP 656)
    musl: bool = False

    def takes(self, text: str) -> bool:
        """Whether a requirement's marker holds here (PEP 508)."""
        marker = Requirement(text).marker
        return marker is None or marker.evaluate(markers_of(self.subdir, self.python, self.release))

    def has(self, pythons: str) -> str:
        """Return which of the snapshot's Pythons it may have; "" for none."""
        if pythons == "any" or not (self.python or self.requires):
            return pythons
        names = pythons.split()
        if self.python:
            return self.python if self.python in names else ""
        able = SpecifierSet(self.requires)
        return " ".join(each for each in names if able.contains(f"{each.rstrip('t')}.99"))

    @property
    def wheels(self) -> Sequence[str]:
        """The platform tags that wheels for it have, as patterns."""
        row = subdirs().get(self.subdir)
        return row.wheel_platforms if row else facts().wheel_platforms.get(self.subdir, ())

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of upstream's builds for it."""
        return facts().wheel_labels.get(self.subdir, ())


def markers_of(subdir: str, python: str, release: str = "") -> Mapping[str, str]:
    """Return what markers ask of a machine (PEP 508), of a common Python where none is known."""
    row = subdirs().get(subdir)
    known = dict(row.markers) if row else dict(facts().markers.get(subdir, {}))
    told = {"platform_release": release} if release else {}
    return known | told | PythonBuild(3, minor_of(python) or 12).markers


def project_of(text: str) -> str:
    """Return PyPI's name of what a requirement, or a wheel's address, asks for."""
    return canonicalize_name(_asked_of(text).name)


def own(texts: Iterable[str]) -> list[str]:
    """Return the requirements of torch's own projects."""
    return [text for text in texts if Requirement(text).name.lower() in facts().torch_projects]


def conda_names(requirements: Sequence[str], *, beside: bool = False) -> tuple[str, ...]:
    """Return what channels call requirements of torch's own projects, with their releases.

    ``beside``: whether what is built for one torch, and is on channels, counts as well.
    """
    asked = [(canonicalize_name(each.name), each) for each in map(_asked_of, requirements)]
    known = {"torch", *(facts().renames if beside else ())}
    return tuple(
        facts().renames.get(name, name) + re.sub(r"\+[\w.]+", "", str(each.specifier))
        for name, each in dict.fromkeys(asked)
        if name in known or is_companion(name)
    )


def specifiers(wanted: Requirement) -> list[Specifier]:
    """Return the parts of a requirement's version specifier that name a version (PEP 440)."""
    return [part for part in wanted.specifier if part.operator != "==="]


def pin_of(text: str) -> Version | None:
    """Return the release that a requirement pins."""
    pins = [p.version for p in specifiers(Requirement(text)) if p.operator == "=="]
    return Version(pins[0].removesuffix(".*")) if pins else None


def torch_of(wanted: Requirement) -> SpecifierSet | None:
    """Return which torch the pinned release of a companion is for; None where no row tells."""
    pin, rows = pin_of(str(wanted)), facts().torch_of.get(canonicalize_name(wanted.name), {})
    known = [Version(since) for since in rows if pin is not None and Version(since) <= pin]
    if pin is None or not known or max(known).major != pin.major:
        return None
    row = rows[str(max(known))]
    if row.startswith(">="):
        return SpecifierSet(row)
    torch = Version(row)
    return SpecifierSet(f"=={torch.major}.{torch.minor + pin.minor - max(known).minor}.*")


def label_of(text: str) -> str:
    """Return upstream's label of an accelerator in a requirement, ``cu121``; "" for none."""
    for part in Requirement(text).specifier:
        _, plus, local = part.version.partition("+")
        if plus and pattern("accelerator").match(local):
            return local
    return ""


def label_of_index(url: str, subdir: str = "") -> str:
    """Return the label of the builds that an index has; "" for any.

    NVIDIA and others have indexes with such names for boards and servers with Linux on ARM.
    """
    found = pattern("labelled").search(url)
    others = found and not found["upstream"] and subdir == "linux-aarch64"
    return found["label"] if found and not others and found["label"] != "cpu" else ""


def asks_for_cuda(request: PipRequest) -> bool:
    """Whether a label, or an index, says that torch is to be for CUDA."""
    labels = [*map(label_of, request.requirements)]
    labels += [label_of_index(url) for url in (request.index, *request.extra)]
    return any(label.startswith("cu") for label in labels)


def of_cuda(requirement: str) -> bool:
    """Whether it is of the packages that wheels of torch for CUDA depend on."""
    return pattern("of_cuda").fullmatch(project_of(requirement)) is not None


def called(text: str) -> str:
    """Write a requirement with PyPI's name of its project."""
    name = Requirement(text).name
    return text.replace(name, facts().pip_names.get(canonicalize_name(name), name), 1)


def of_address(text: str) -> str:
    """Return the requirement that an address, or what is no version, stands for; "" for none."""
    wheel = pattern("wheel").search(text)
    name = unreadable(text)
    return f"{wheel['name'].replace('_', '-')}=={wheel['version']}" if wheel else name


def unreadable(text: str) -> str:
    """Return the project of what is no address, and no version that pip reads (PEP 440)."""
    found = re.match(r"([A-Za-z][\w.-]*) ?[=<>!~]=?[^/]+$", text)
    return found[1] if found and not is_requirement(text) else ""


def variable_in(text: str) -> bool:
    """Whether a part of a text is a variable's, of a shell, a workflow or a program."""
    return re.search(r"\$|\{\w+\}|%\w+%", text) is not None


def _asked_of(text: str) -> Requirement:
    return Requirement(called(of_address(text) or text))


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
    for_python = f" and Python {told}" if (told := place.python or place.requires) else ""
    if fitting:
        pythons = place.has(releases[str(max(fitting))][place.subdir])
        if not place.python and pythons != "any":  # nobody told which one is in the environment
            for_python = f" and Python {' or '.join(pythons.split())}"
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


def pythons_with(request: PipRequest, place: Place) -> str:
    """Return the Pythons that all pinned wheels are there for, as far as the snapshot tells."""
    left: set[str] | None = None
    for wanted in map(Requirement, request.requirements):
        releases = snapshot().wheels.get(canonicalize_name(wanted.name), {})
        pins = [releases[part.version] for part in specifiers(wanted) if part.version in releases]
        there = {*place.has(pins[0].get(place.subdir, "any")).split()} if pins else {"any"}
        if there != {"any"}:
            left = there if left is None else left & there
    return " or ".join(sorted(left or (), key=lambda each: (minor_of(each), each)))


def elsewhere(place: Place) -> bool:
    """Whether upstream's CPU index has torch for a subdir, and PyPI has no release of it."""
    releases = snapshot().wheels["torch"].values()
    return "cpu" in place.labels and not any(place.subdir in each for each in releases)
