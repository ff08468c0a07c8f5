"""Packages that are installed together: what no one of them can do wrong alone."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterable, Iterator, Sequence

from generator.inspecting.findings import AuditReport, Finding, linkage_policy
from generator.inspecting.pairing import Asking, Shelf, Unmet, unmet
from generator.inspecting.properties import copy_of, library_names
from generator.inspecting.rules import Rule
from generator.inspecting.symbols import Symbols
from generator.model.subdir import Subdir
from generator.naming import SonameTable, sonames
from generator.packages import projects


def audit_together(reports: Iterable[AuditReport], *, subdir: Subdir) -> tuple[Finding, ...]:
    """Judge the audited packages of one environment together.

    ``reports`` are one per package, each from `PackageAudit.finish` with the others as siblings:
    libtorch, pytorch, torchvision, torchaudio of one cell and Python. What is wrong between them is
    sorted by rule; ``file`` is an installed path.
    """
    those = tuple(reports)
    table = sonames(subdir.name)
    policy = linkage_policy()
    found = [*_names(those, table), *_only_one(those, table), *_unmet(those)]
    return tuple(
        policy.judge(one, package=package, subdir=subdir.name)
        for package, one in sorted(found, key=lambda row: (row[1].rule.id, row[1].name))
    )


def _names(reports: Sequence[AuditReport], table: SonameTable) -> Iterator[tuple[str, Finding]]:
    """Find library names that files of different packages carry."""
    carriers: dict[str, list[tuple[str, str]]] = {}
    for report in reports:
        for name, paths in library_names(report.binaries, table).items():
            carriers.setdefault(name, []).extend((report.package, path) for path in paths)
    for name, places in carriers.items():
        packages = {package for package, _ in places}
        if len(packages) > 1:
            yield (
                places[0][0],
                Finding(
                    rule=Rule.NAME_TWICE,
                    file=places[0][1],
                    name=name,
                    what=f"{_places(places)} are all {name}",
                ),
            )


def _only_one(reports: Sequence[AuditReport], table: SonameTable) -> Iterator[tuple[str, Finding]]:
    """Find two providers of what there may be one of, loaded or lying there to be loaded."""
    for group in linkage_policy().only_one:
        places = {
            (provider.package, provider.path)
            for report in reports
            for provider in report.providers
            if table.fold(provider.library) in group.names
        }
        for report in reports:
            for name, paths in library_names(report.binaries, table).items():
                if name in group.names:
                    places.update((report.package, path) for path in paths)
            for path, binary in report.binaries.items():
                copy = copy_of(path, binary, table)
                if copy is not None and copy.name in group.names:
                    places.add((report.package, path))
        if len(places) > 1:
            first = min(places)
            yield (
                first[0],
                Finding(
                    rule=Rule.TWO_RUNTIMES,
                    file=first[1],
                    name=group.what,
                    what=f"{len(places)} of {group.what}: {_places(sorted(places))}",
                ),
            )


class InstalledLibraries:
    """The libraries of some packages by file name, all of them read; a `Shelf`."""

    def __init__(self, reports: Iterable[AuditReport]) -> None:
        self._symbols = {
            posixpath.basename(path): symbols
            for report in reports
            for path, symbols in sorted(report.symbols.items())
        }

    @property
    def names(self) -> tuple[str, ...]:
        """All file names."""
        return tuple(self._symbols)

    def symbols(self, name: str) -> Symbols | None:
        """Return what a library exports."""
        return self._symbols.get(name)


def unmet_beside(report: AuditReport, torch: Shelf) -> tuple[Unmet, ...]:
    """Return what an audited companion, its symbols read, asks of a torch in vain."""
    asking = [
        Asking.of(path, report.binaries[path], symbols)
        for path, symbols in sorted(report.symbols.items())
        if path in report.binaries
    ]
    return unmet(asking, InstalledLibraries([report]), torch)


def _unmet(reports: Sequence[AuditReport]) -> Iterator[tuple[str, Finding]]:
    """Find what companions ask of torch's libraries in vain, by all of their bytes (D14)."""
    torch = InstalledLibraries(r for r in reports if projects().get(r.package) == "torch")
    for report in reports if torch.names else ():
        if projects().get(report.package) == "torch":
            continue
        lacking = unmet_beside(report, torch)
        for path, those in itertools.groupby(lacking, key=lambda each: each.path):
            symbols = [each.symbol for each in those]
            more = f" and {len(symbols) - 5} more" if len(symbols) > 5 else ""
            what = f"no library of torch's has {', '.join(symbols[:5])}{more}"
            yield report.package, Finding(rule=Rule.UNMET, file=path, what=what)


def _places(places: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{path} of {package}" for package, path in places)
