"""Requires-Dist of a wheel as conda dependencies, for the target and never for this machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from generator.datafiles import DATA
from generator.documents import holds, parse_requirement, parse_specifiers
from generator.errors import DependencyError, MalformedError
from generator.model.accelerator import Accelerator, ArmVariant
from generator.model.python_build import PythonBuild
from generator.model.subdir import Subdir
from generator.model.wheel import Metadata
from generator.naming.projects import ProjectRow, name_map, python_builds
from generator.naming.specifiers import bounded, conda_version_spec
from generator.packages import Part

_NAMES: Final = str(DATA / "pypi_names.yaml")


@dataclass(frozen=True, kw_only=True, order=True)
class RunDependency:
    """A conda run dependency and where it comes from."""

    #: a MatchSpec, ``pillow >=5.3.0,!=8.3.*``
    spec: str
    #: the requirement, library or platform tag it stands for
    why: str

    @property
    def name(self) -> str:
        """The package's name, which is all before the first blank."""
        return self.spec.split(" ", 1)[0]


def conda_depends(
    metadata: Metadata,
    *,
    subdir: Subdir,
    accelerator: Accelerator,
    python: PythonBuild | None,
    part: Part = "all",
    trio: bool = False,
) -> tuple[RunDependency, ...]:
    """Map every Requires-Dist that holds on the target to conda, in METADATA's order.

    Markers (PEP 508) see ``subdir``'s environment and ``python``; without a Python they must say
    the same for every Python that Requires-Python admits. Requirements on torch, torchvision and
    torchaudio are left to the caller, who knows the exact build, unless ``trio`` is set. With a
    CUDA accelerator on Linux ``cuda-version`` and ``arm-variant`` are added to the native part.
    Raises MalformedError: a requirement is not PEP 508, or depends on the Python of a package that
    has none. DependencyError: data/pypi_names.yaml has no row for an extra, or a requirement is a
    URL.
    """
    found: list[RunDependency] = []
    for text in metadata.requires_dist:
        requirement = _parse(text, metadata)
        row = name_map().row(requirement.name)
        if requirement.url and _holds(requirement, text, metadata, subdir=subdir, python=python):
            raise DependencyError(
                f"it requires {requirement.name} from a URL, and what is there is no conda package",
                where=f"METADATA of {metadata.name} {metadata.version}",
                next_step="wait for a release that requires a version of it",
            )
        if row.trio and not trio:
            continue
        if part != "all" and row.native != (part == "native"):
            continue
        if _holds(requirement, text, metadata, subdir=subdir, python=python):
            found += _mapped(requirement, row, text)
    found += _unstated(metadata, python, subdir.name, part, found)
    if accelerator.cuda is not None and part != "python" and subdir.os == "linux":
        stated = {dependency.name for dependency in found}
        found += [each for each in _of_accelerator(accelerator) if each.name not in stated]
    return unique(found)


def _of_accelerator(accelerator: Accelerator) -> list[RunDependency]:
    """Return what a CUDA build for Linux asks for, whatever its METADATA says.

    Wheels for Jetson say nothing of CUDA, and CUDA 12's nothing of the toolkit's version.
    """
    major = accelerator.cuda[0] if accelerator.cuda else 0
    variant: ArmVariant = "tegra" if accelerator.tegra else "sbsa"
    texts = {
        "what it was built with": name_map().accelerators["linux"],
        f"what CUDA libraries for {variant} boards carry": name_map().accelerators[variant],
    }
    line = accelerator.cuda_compiler_version
    return [
        RunDependency(spec=spec.format(cuda=line, next=major + 1), why=why)
        for why, specs in texts.items()
        for spec in specs
    ]


def _unstated(
    metadata: Metadata,
    python: PythonBuild | None,
    subdir: str,
    part: Part,
    found: Iterable[RunDependency],
) -> list[RunDependency]:
    """What the project needs beside its METADATA; a requirement on the same package goes first."""
    stated = {dependency.name for dependency in found}
    added = [
        RunDependency(spec=each.spec, why=each.why)
        for each in name_map().row(metadata.name).unstated
        if part in {"all", "native" if each.native else "python"}
        and each.holds(metadata.version, python, subdir)
    ]
    return [dependency for dependency in added if dependency.name not in stated]


def torch_requirement(metadata: Metadata) -> str | None:
    """Return what METADATA asks of torch, as a PEP 440 specifier set; None where it is silent.

    torchaudio 2.11.0 is silent (stable ABI); an empty text means any version.
    """
    for text in metadata.requires_dist:
        requirement = _parse(text, metadata)
        if requirement.name == "torch":
            return str(requirement.specifier)
    return None


def admits(wanted: SpecifierSet, version: Version) -> bool:
    """Whether a version is asked for, with its local part or without (PEP 440, local versions).

    A wheel that was made beside a torch may pin its local version, ``torch==2.6.0+cu126``.
    """
    return any(
        wanted.contains(each, prereleases=True) for each in (version, Version(version.public))
    )


def unmapped(metadata: Metadata, *, subdir: Subdir, python: PythonBuild | None) -> tuple[str, ...]:
    """Return the projects that are required on the target and of which no row says anything.

    They are taken to be called the same in conda, which the base channel can tell.
    Raises MalformedError: as `conda_depends` does.
    """
    names = name_map()
    found = {
        canonicalize_name(requirement.name): None
        for text in metadata.requires_dist
        for requirement in (_parse(text, metadata),)
        if not names.knows(requirement.name)
        and _holds(requirement, text, metadata, subdir=subdir, python=python)
    }
    return tuple(sorted(found))


def dropped_requirements(metadata: Metadata) -> tuple[str, ...]:
    """Return the requirement lines that leave the packaged METADATA, verbatim.

    They are for projects whose conda package carries no dist-info of that name (nvidia-*,
    cuda-toolkit), whatever their markers say, so that ``pip check`` tells the truth.
    Raises MalformedError: a requirement is not PEP 508.
    """
    return tuple(
        text
        for text in metadata.requires_dist
        if not name_map().row(_parse(text, metadata).name).dist
    )


def unique(found: Iterable[RunDependency]) -> tuple[RunDependency, ...]:
    """Drop repeats of a spec, keeping the first and the order.

    torch's macOS METADATA repeats its triton line once per Python built before it.
    """
    kept: dict[str, RunDependency] = {}
    for dependency in found:
        kept.setdefault(dependency.spec, dependency)
    return tuple(kept.values())


def _parse(text: str, metadata: Metadata) -> Requirement:
    return parse_requirement(text, f"METADATA of {metadata.name} {metadata.version}")


def _holds(
    requirement: Requirement,
    text: str,
    metadata: Metadata,
    *,
    subdir: Subdir,
    python: PythonBuild | None,
) -> bool:
    if requirement.marker is None:
        return True
    pythons = [python] if python is not None else _admitted(metadata)
    answers = {
        build: holds(
            requirement, {**subdir.markers, **build.markers}, f"METADATA of {metadata.name}"
        )
        for build in pythons
    }
    if len(set(answers.values())) == 1:
        return next(iter(answers.values()))
    wanted = ", ".join(str(build) for build, holds in answers.items() if holds)
    raise MalformedError(
        f"Requires-Dist {text!r} holds for Python {wanted} only, but the package serves every "
        "Python",
        where=f"METADATA of {metadata.name} {metadata.version} on {subdir}",
        next_step="package it once per Python, or ask for its native part only",
    )


def _admitted(metadata: Metadata) -> list[PythonBuild]:
    """List the Pythons that Requires-Python admits, their newest micro releases."""
    admitted = parse_specifiers(metadata.requires_python, f"METADATA of {metadata.name}")
    return [build for build in python_builds() if build.newest in admitted]


def _mapped(requirement: Requirement, row: ProjectRow, text: str) -> list[RunDependency]:
    why = f"Requires-Dist: {text}"
    specifier = str(requirement.specifier)
    version = _pinned(requirement, row)
    if row.pin is not None and version is not None:
        lower = row.floors.get(version, version)
        version_spec = bounded(lower, keep=row.pin.keep, below=row.pin.below)
    else:
        version_spec = conda_version_spec(specifier)
    found = [RunDependency(spec=f"{row.conda} {version_spec}".strip(), why=why)]
    for extra in sorted(requirement.extras):
        if (spec := _extra(requirement, row, version, extra)) is not None:
            found += [RunDependency(spec=spec, why=f"{why} (extra {extra})")]
    return found


def _pinned(requirement: Requirement, row: ProjectRow) -> str | None:
    """Return the version a requirement on a mapped library starts at, if it says one."""
    if row.pin is None:
        return None
    starts = [
        part.version
        for part in requirement.specifier
        if part.operator in {"==", "~=", ">=", "==="} and not part.version.endswith(".*")
    ]
    return max(starts, key=Version) if starts else None


def _extra(
    requirement: Requirement, row: ProjectRow, version: str | None, extra: str
) -> str | None:
    release = Version(version).release if version else ()
    line = ".".join(str(part) for part in release[:2]) or "any"
    wanted = f"projects.{canonicalize_name(requirement.name)}.extras.{line!r}.{extra}"
    try:
        return row.extras[line][extra]
    except KeyError:
        raise DependencyError(
            f"nothing is known about {requirement.name}[{extra}]"
            + (f" of line {line}" if release else ""),
            where=_NAMES,
            next_step=f"add {wanted} to it, or to data/pypi_names.yaml beside feedstock.yaml",
        ) from None
