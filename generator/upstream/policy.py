"""The data files that decide where the wheels' own metadata is silent."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from generator.datafiles import load_data
from generator.model.accelerator import Accelerator
from generator.model.cell import EquivalenceRule
from generator.model.closed import Closed
from generator.model.names import SpecifierText
from generator.model.wheel import ProjectName


@dataclass(frozen=True, kw_only=True)
class CudaRequirement(Closed):
    """A requirement by which a torch wheel shows that it is a CUDA build."""

    #: regular expression over the whole normalised project name
    name: str
    #: whether its version is that of the CUDA line
    says_version: bool


@dataclass(frozen=True, kw_only=True)
class CompanionRow(Closed):
    """Which torch some versions of torchvision or torchaudio can be imported beside."""

    project: ProjectName
    versions: SpecifierText
    #: PEP 440 specifier of torch's version; empty for what METADATA and the symbols allow
    torch: SpecifierText = ""
    subdirs: tuple[str, ...]
    #: PEP 440 specifier of torch's CUDA line as ``13.0``; empty for any
    cuda: SpecifierText = ""
    #: whether a torch without CUDA will do
    cpu: bool
    evidence: str
    source: str
    date: dt.date

    def applies(self, project: str, version: Version, subdir: str) -> bool:
        """Whether the row speaks about this wheel."""
        return (
            project == self.project
            and subdir in self.subdirs
            and SpecifierSet(self.versions).contains(version.public, prereleases=True)
        )

    def refusal(self, torch: Version, accelerator: Accelerator | None) -> str | None:
        """Say why the companion cannot be imported beside this torch; None when it can.

        ``accelerator`` is torch's, None when it is known already that the two agree about it.
        """
        if not SpecifierSet(self.torch).contains(torch.public, prereleases=True):
            return f"needs torch {self.torch}"
        if accelerator is None:
            return None
        if accelerator.cuda is None:
            return None if self.cpu else "needs a CUDA build of torch"
        if not SpecifierSet(self.cuda).contains(accelerator.cuda_compiler_version):
            return f"needs CUDA {self.cuda}, torch {torch} has {accelerator.cuda_compiler_version}"
        return None


@dataclass(frozen=True, kw_only=True)
class TrioPolicy(Closed):
    """generator/data/trio_policy.yaml."""

    cuda_requirements: tuple[CudaRequirement, ...]
    companions: tuple[CompanionRow, ...]


@dataclass(frozen=True, kw_only=True)
class EquivalentRow(Closed):
    """A member that may differ as far as a rule allows."""

    member: str
    rule: EquivalenceRule


@dataclass(frozen=True, kw_only=True)
class SharingRules(Closed):
    """generator/data/sharing_rules.yaml."""

    per_python: tuple[str, ...]
    may_differ: tuple[str, ...]
    equivalent: tuple[EquivalentRow, ...]

    def rule_for(self, member: str) -> EquivalenceRule | None:
        """Return the rule by which ``member`` may differ."""
        return next((row.rule for row in self.equivalent if re.fullmatch(row.member, member)), None)


def matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Return a test whether a whole path matches one of ``patterns``."""
    joined = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    return lambda path: joined.fullmatch(path) is not None


@cache
def trio_policy() -> TrioPolicy:
    """Return the trio policy, checked on load."""
    return load_data("trio_policy.yaml", TrioPolicy)


@cache
def sharing_rules() -> SharingRules:
    """Return the sharing rules, checked on load."""
    return load_data("sharing_rules.yaml", SharingRules)
