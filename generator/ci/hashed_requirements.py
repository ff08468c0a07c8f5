"""A requirements file with the versions that run here, and every hash the index has of them.

For pip's ``--require-hashes``, on all of the workflows' machines: markers are evaluated for each
subdir (PEP 508), and of a release the hashes of all wheels are taken that the workflows' Python can
install.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from generator.datafiles import subdirs
from generator.errors import AbsentError, SelectionError
from generator.model import PythonBuild
from generator.rendering import workflow_settings
from generator.upstream import Index, Offer


@dataclass
class _Needed:
    version: Version
    offers: tuple[Offer, ...]
    #: sys.platform of the machines that need it
    platforms: set[str] = field(default_factory=set)


@dataclass
class _Closure:
    """What requirements need, and what that needs, on some machines."""

    index: Index
    requires: Callable[[Offer], Iterable[str]]
    python: PythonBuild
    machines: tuple[Mapping[str, str], ...]
    found: dict[NormalizedName, _Needed] = field(default_factory=dict)
    _seen: set[tuple[str, str, str]] = field(default_factory=set)

    def add(self, text: str, extras: Iterable[str] = ("",)) -> None:
        """Take a requirement and what it needs, for every machine whose markers want it."""
        wanted = Requirement(text)
        names = tuple(extras)
        for machine in self.machines:
            platform = machine["sys_platform"]
            key = (str(wanted), ",".join(names), machine["platform_machine"] + platform)
            applies = wanted.marker is None or any(
                wanted.marker.evaluate({**machine, "extra": extra}) for extra in names
            )
            if not applies or key in self._seen:
                continue
            self._seen.add(key)
            needed = self._take(wanted)
            needed.platforms.add(platform)
            for each in self._of(wanted, needed):
                self.add(each, ("", *wanted.extras))

    def _take(self, wanted: Requirement) -> _Needed:
        name = canonicalize_name(wanted.name)
        if name not in self.found:
            usable: defaultdict[Version, list[Offer]] = defaultdict(list)
            for offer in self.index.offers(name):
                if offer.sha256 and offer.yanked is None and offer.serves(self.python):
                    usable[offer.version].append(offer)
            here = _installed(name)
            versions = (
                [here]
                if here is not None
                else sorted(wanted.specifier.filter(usable), reverse=True)
            )
            if not versions or versions[0] not in usable:
                raise AbsentError(
                    f"it has no wheel with a sha256 of {name} {here or wanted.specifier} for "
                    f"Python {self.python}",
                    where=self.index.name,
                    next_step="install a release of it that the index has, and try again",
                )
            self.found[name] = _Needed(versions[0], tuple(usable[versions[0]]))
        needed = self.found[name]
        if not wanted.specifier.contains(needed.version, prereleases=True):
            raise SelectionError(
                f"{name} {needed.version} is not what is needed: {wanted}",
                where="what armtorch is installed with",
                next_step="install armtorch anew, into an environment of its own",
            )
        return needed

    def _of(self, wanted: Requirement, needed: _Needed) -> Iterable[str]:
        if _installed(wanted.name) is not None:
            return distribution(wanted.name).requires or ()
        return self.requires(needed.offers[0])


def _installed(name: str) -> Version | None:
    try:
        return Version(distribution(name).version)
    except PackageNotFoundError:
        return None


def hashed_requirements(
    wanted: Iterable[str], index: Index, requires: Callable[[Offer], Iterable[str]]
) -> str:
    """Return a requirements file with what is wanted and all that it needs.

    ``requires`` says what a wheel needs that is not installed here.
    Raises AbsentError, UnreachableError, MalformedError: the index lacks a release, or does not
    say. SelectionError: what is installed here does not fit together.
    """
    python = PythonBuild.parse(workflow_settings().python)
    closure = _Closure(
        index=index,
        requires=requires,
        python=python,
        machines=tuple({**row.markers, **python.markers} for row in subdirs().values()),
    )
    for text in wanted:
        closure.add(text)
    everywhere = {machine["sys_platform"] for machine in closure.machines}
    lines = []
    for name, needed in sorted(closure.found.items()):
        only = sorted(needed.platforms) if needed.platforms != everywhere else []
        marker = " or ".join(f"sys_platform == '{each}'" for each in only)
        hashes = sorted({f"--hash=sha256:{offer.sha256}" for offer in needed.offers})
        head = f"{name}=={needed.version}" + (f" ; {marker}" if marker else "")
        lines.append(" \\\n    ".join([head, *hashes]))
    return "\n".join(lines) + "\n"
