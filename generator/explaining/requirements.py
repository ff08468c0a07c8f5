"""What a requirement of pip says: its project, its releases, its label, the machines it is for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from generator.datafiles import subdirs
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
    #: the kernel's release, as markers ask for it
    release: str = ""

    def takes(self, text: str) -> bool:
        """Whether a requirement's marker holds here (PEP 508)."""
        marker = Requirement(text).marker
        return marker is None or marker.evaluate(markers_of(self.subdir, self.python, self.release))

    def has(self, pythons: str) -> bool:
        """Whether its Python is among those of the snapshot."""
        return bool(pythons) and (
            not self.python or pythons == "any" or self.python in pythons.split()
        )

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

    Args:
        requirements: of any projects, or addresses of wheels.
        beside: whether what is built for one torch, and is on channels, counts as well.

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
