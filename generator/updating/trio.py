"""Solves which torchvision and torchaudio belong to a torch, from their own metadata (D6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from generator.errors import NoTrioError
from generator.model.accelerator import Accelerator
from generator.model.wheel import ProjectName
from generator.naming import admits
from generator.updating.catalogue import Release
from generator.upstream.policy import CompanionRow


@dataclass(frozen=True, kw_only=True)
class TorchChoice:
    """The torch that companions are looked for."""

    version: Version
    subdir: str
    accelerator: Accelerator
    #: what it requires itself on the target
    requires: tuple[Requirement, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Whether one version of a companion can be imported beside a torch, and if not, why."""

    refusal: str | None
    #: metadata pins an older torch exactly: still older versions pin still older ones
    pins_older: bool = False


def judge(
    project: str,
    release: Release,
    requirements: Iterable[Requirement],
    torch: TorchChoice,
    rows: tuple[CompanionRow, ...],
) -> Verdict:
    """Hold one version of a companion against a torch, by its metadata and the policy rows."""
    version = release.version
    for requirement in torch.requires:
        if canonicalize_name(requirement.name) == project and not admits(
            requirement.specifier, version
        ):
            return Verdict(f"torch {torch.version} requires {requirement}, not {version}")
    said = [r for r in requirements if canonicalize_name(r.name) == "torch"]
    for requirement in said:
        if not admits(requirement.specifier, torch.version):
            exact = [
                Version(s.version)
                for s in requirement.specifier
                if s.operator == "==" and not s.version.endswith(".*")
            ]
            return Verdict(
                f"{project} {version} requires {requirement}",
                pins_older=bool(exact) and exact[0] < torch.version,
            )
    applying = [row for row in rows if row.applies(project, version, torch.subdir)]
    for row in applying:
        # what a wheel's own label says of CUDA is nearer than a row about wheels without one
        known = None if release.claim == str(torch.accelerator) else torch.accelerator
        if (why := row.refusal(torch.version, known)) is not None:
            return Verdict(f"{project} {version} {why}: {row.evidence} ({row.source})")
    numbered = project in get_args(ProjectName)
    if numbered and not (said or applying) and version.release[:2] > torch.version.release[:2]:
        # those that follow torch's numbers are made beside the torch of that number; whether
        # its symbols are there says the judge of pairings (decision D14)
        return Verdict(
            f"{project} {version} does not say which torch it needs, and torch {torch.version} is "
            "older by its number"
        )
    return Verdict(None)


def companions(
    project: str,
    releases: Iterable[Release],
    torch: TorchChoice,
    rows: tuple[CompanionRow, ...],
    requirements: Callable[[Release], tuple[Requirement, ...] | None],
) -> Iterator[Release]:
    """Yield the releases that can be imported beside ``torch`` by what is said, the newest first.

    ``requirements`` reads what a release requires on the target, None when it cannot be read; it
    is asked for as few releases as it takes.
    Raises NoTrioError: none can; the message has the reason of the newest one.
    """
    first: str | None = None
    fitting = False
    for release in sorted(releases, key=lambda r: r.order, reverse=True):
        if (required := requirements(release)) is None:
            continue
        verdict = judge(project, release, required, torch, rows)
        if verdict.refusal is None:
            fitting = True
            yield release
            continue
        first = first or verdict.refusal
        if verdict.pins_older:
            break
    if not fitting:
        raise NoTrioError(
            first or f"no wheel of {project} fits {torch.subdir}",
            where=f"torch {torch.version}, {torch.subdir}, {torch.accelerator}",
            next_step="wait for upstream, or add a row with evidence to trio_policy.yaml",
        )
