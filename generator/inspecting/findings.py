"""What an audit reports, and which findings data/linkage_policy.yaml accepts."""

from __future__ import annotations

import datetime as dt
import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, Final, Literal, NamedTuple

from generator.datafiles import DATA, load_data, subdirs
from generator.errors import DataError, LinkageError
from generator.inspecting.binary import Binary
from generator.inspecting.rules import Rule, Severity
from generator.inspecting.symbols import Symbols
from generator.model.closed import Closed
from generator.packages import known_as

_FILE: Final = "linkage_policy.yaml"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing found in a package."""

    rule: Rule
    #: path in the package; "" for the package as a whole
    file: str
    #: what was found there
    what: str
    #: the library it is about, as the binary writes it; "" where it is about none
    name: str = ""
    #: reason and date of the policy row that accepts it; "" where none does
    accepted: str = ""

    @property
    def severity(self) -> Severity:
        """``error`` or ``note``; an accepted error is a note."""
        return "note" if self.accepted else self.rule.severity

    def __str__(self) -> str:
        place = f"{self.file}: " if self.file else ""
        ending = f"accepted: {self.accepted}" if self.accepted else f"fix: {self.rule.fix}"
        return f"{self.rule.id} {self.severity} {place}{self.what} ({ending})"

    def as_json(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "id": self.rule.id,
            "severity": self.severity,
            "title": self.rule.title,
            "file": self.file,
            "what": self.what,
            "name": self.name,
            "fix": self.rule.fix,
            "accepted": self.accepted,
        }


class Provider(NamedTuple):
    """A library that a binary asks for, and the file that the loader takes for it."""

    #: its row's name in sonames.yaml, else the needed name itself
    library: str
    #: conda package
    package: str
    #: real path under $PREFIX
    path: str


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """The outcome of one package's audit."""

    package: str
    findings: tuple[Finding, ...]
    #: installed path -> what the loader sees of it
    binaries: Mapping[str, Binary] = field(repr=False)
    #: every installed path
    paths: frozenset[str] = field(repr=False)
    #: who provides what its binaries ask for
    providers: frozenset[Provider] = field(default=frozenset(), repr=False)
    #: what its libraries export and ask for, where that was read; installed path -> symbols
    symbols: Mapping[str, Symbols] = field(default_factory=dict, repr=False)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What keeps the package from being published."""
        return tuple(found for found in self.findings if found.severity == "error")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What a person may want to know, accepted findings among it."""
        return tuple(found for found in self.findings if found.severity == "note")

    def check(self) -> None:
        """Raise LinkageError where there are errors, naming the first ones."""
        if not self.errors:
            return
        shown = "; ".join(f"{e.rule.id} {e.file}: {e.what}" for e in self.errors[:5])
        more = f" and {len(self.errors) - 5} more" if len(self.errors) > 5 else ""
        raise LinkageError(
            f"{shown}{more}",
            where=self.package,
            next_step=f"{self.errors[0].rule.id}: {self.errors[0].rule.fix}",
        )


@dataclass(frozen=True, kw_only=True)
class AcceptedFinding(Closed):
    """One row of linkage_policy.yaml."""

    finding: str
    package: str
    files: str
    subdirs: tuple[str, ...]
    date: dt.date
    reason: str
    names: tuple[str, ...] = ()

    def concerns(self, package: str, *, subdir: str) -> bool:
        """Whether this row can be about anything in a package."""
        return subdir in self.subdirs and fnmatch.fnmatchcase(known_as(package), self.package)

    def covers(self, found: Finding, *, package: str, subdir: str) -> bool:
        """Whether this row is about ``found``."""
        if found.rule.id != self.finding or not self.concerns(package, subdir=subdir):
            return False
        if bool(found.name) != bool(self.names):
            return False
        named = not self.names or any(fnmatch.fnmatchcase(found.name, n) for n in self.names)
        return named and fnmatch.fnmatchcase(found.file, self.files)


@dataclass(frozen=True, kw_only=True)
class OnlyOne(Closed):
    """Libraries of which one process may load one."""

    what: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Policy(Closed):
    """The whole of linkage_policy.yaml, which explains the words."""

    format: Literal[1]
    accepted: tuple[AcceptedFinding, ...]
    device_machines: tuple[str, ...]
    dll_folders: tuple[str, ...]
    only_one: tuple[OnlyOne, ...]
    text_files: tuple[str, ...]
    build_folders: tuple[str, ...]

    @cached_property
    def build_folder_patterns(self) -> tuple[re.Pattern[bytes], ...]:
        """``build_folders``, compiled; re.error where one is no regular expression."""
        return tuple(re.compile(pattern.encode()) for pattern in self.build_folders)

    def reads_text(self, path: str) -> bool:
        """Whether other programs take paths out of this text file."""
        return any(fnmatch.fnmatchcase(path, glob) for glob in self.text_files)

    def judge(self, found: Finding, *, package: str, subdir: str) -> Finding:
        """Return the finding with the reason of the row that accepts it, if one does."""
        for row in self.accepted:
            if row.covers(found, package=package, subdir=subdir):
                return replace(found, accepted=f"{row.reason} ({row.date.isoformat()})")
        return found


@cache
def linkage_policy() -> Policy:
    """Read data/linkage_policy.yaml.

    Raises DataError: a row does not fit, or names a rule or subdir that does not exist.
    """
    policy: Policy = load_data(_FILE, Policy)
    rules = {rule.id for rule in Rule}
    for row in policy.accepted:
        if row.finding not in rules or not set(row.subdirs) <= set(subdirs()):
            raise DataError(
                f"accepted {row.finding} of {row.package} on {', '.join(row.subdirs)}: no such "
                "rule or subdir",
                where=str(DATA / _FILE),
                next_step="mend the row",
            )
        if not row.reason.strip():
            raise DataError(
                f"accepted {row.finding} of {row.package}: no reason given",
                where=str(DATA / _FILE),
                next_step="say why it does no harm",
            )
    try:
        _ = policy.build_folder_patterns
    except re.error as error:
        raise DataError(
            f"build_folders: {error}", where=str(DATA / _FILE), next_step="mend the expression"
        ) from error
    return policy
