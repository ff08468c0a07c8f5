"""Which member of a wheel goes where in one package: data/layout.yaml in the words of build.py."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from packaging.specifiers import SpecifierSet

from generator.datafiles import load_data, subdirs
from generator.model import Accelerator, Cell, Wheel
from generator.model.closed import Closed
from generator.model.subdir import OsName
from generator.naming import Bundled, needed_libraries
from generator.packages import known_as, projects
from generator.rendering.requirements import bundled_copies

_SITE = "site-packages"
#: where Windows' conda has bin, lib, include and share
_LIBRARY = "Library"


@dataclass(frozen=True, kw_only=True)
class Patch(Closed):
    """A text patch, and for which versions of the wheel it was written."""

    pattern: str
    why: str
    replacement: str
    #: versions whose member was read: there the pattern is found exactly once
    read_for: tuple[str, ...]
    #: regular expression that finds the reason for the patch in a member
    probe: str

    def was_read_for(self, version: str) -> bool:
        """Whether the member of that version of the wheel was read when the patch was written."""
        return version.partition("+")[0] in self.read_for

    def said(self, version: str) -> dict[str, Any]:
        """Return it in the words of build.py, for a wheel of this version."""
        return {
            "pattern": self.pattern,
            "with": self.replacement,
            "why": self.why,
            "probe": self.probe,
            "read": self.was_read_for(version),
        }


@dataclass(frozen=True, kw_only=True)
class Rule(Closed):
    """A row of data/layout.yaml; that file explains the words."""

    match: tuple[str, ...] = ()
    drop: str | None = None
    own: str | None = None
    share: str | None = None
    keep: bool = False
    bundled: bool = False
    common: bool = False
    required: bool = False
    patch: Patch | None = None
    os: tuple[OsName, ...] = ()
    copy: bool = False
    #: PEP 440 specifier of the wheel's version the rule is for
    versions: str = ""
    #: PEP 440 specifier of the cell's CUDA line; None for cells without CUDA too
    cuda: str | None = None
    #: the folder that is cut off the member's path
    source: str = ""

    def fits(self, version: str, subdir: str, accelerator: Accelerator) -> bool:
        """Whether the rule is for a wheel of that version in a cell of that kind."""
        if self.os and subdirs()[subdir].os not in self.os:
            return False
        if self.cuda is not None and (
            accelerator.cuda is None or accelerator.cuda_compiler_version not in _set(self.cuda)
        ):
            return False
        return version.partition("+")[0] in _set(self.versions)


@dataclass(frozen=True, kw_only=True)
class Commit(Closed):
    """Where a wheel says which commit it was built from."""

    member: str
    pattern: str


@dataclass(frozen=True, kw_only=True)
class ProjectLayout(Closed):
    """How one upstream project's wheel is split."""

    package: str
    rules: tuple[Rule, ...]
    #: member and regular expression (one group) that say which commit upstream built
    commit: Commit | None = None
    #: without a Python: libraries, headers
    shared_package: str | None = None
    #: for any Python: what site-packages has whatever the Python
    common_package: str | None = None
    link_folder: str | None = None


@dataclass(frozen=True, kw_only=True)
class LayoutFile(Closed):
    """The whole of data/layout.yaml."""

    format: Literal[1]
    projects: dict[str, ProjectLayout]
    licenses: tuple[str, ...]


@cache
def _set(specifier: str) -> SpecifierSet:
    return SpecifierSet(specifier, prereleases=True)


@cache
def layouts() -> LayoutFile:
    """Read data/layout.yaml; DataError when a row does not fit."""
    return load_data("layout.yaml", LayoutFile)


def layout_of(project: str) -> ProjectLayout:
    """Return how a project's wheel is split; without a row all of it stays where it is."""
    known = layouts().projects.get(project)
    if known is not None:
        return known
    package = next(name for name, of in projects().items() if of == project)
    return ProjectLayout(
        package=package, rules=(Rule(bundled=True), Rule(match=("**",), keep=True))
    )


def taken(project: str, version: str, subdir: str, accelerator: Accelerator) -> tuple[Rule, ...]:
    """Return the rules that a wheel of that version has in a cell of that kind."""
    rules = layout_of(project).rules
    return tuple(rule for rule in rules if rule.fits(version, subdir, accelerator))


def on_windows(subdir: str) -> bool:
    """Whether a subdir's packages can have no links."""
    return subdirs()[subdir].os == "win"


def cell_rules(package: str, wheel: Wheel, cell: Cell) -> list[dict[str, Any]]:
    """Say what a package takes of a wheel, member by member, in the words of build.py."""
    layout, package = layout_of(wheel.project), known_as(package)
    rules: list[dict[str, Any]] = []
    for rule in layout.rules:
        if not rule.fits(wheel.version, cell.subdir, cell.accelerator):
            continue
        if rule.bundled:
            rules += _bundled_rules(layout, wheel, cell, package)
        else:
            links = not on_windows(cell.subdir)
            rules.append(_rule(layout, rule, package, wheel.version, links=links))
    return rules


def cell_links(package: str, wheel: Wheel, cell: Cell) -> list[dict[str, str]]:
    """Say which links a package has to libraries that are in no wheel, in the words of build.py."""
    layout = layout_of(wheel.project)
    if (
        layout.link_folder is None
        or known_as(package) != layout.package
        or not cell.subdir.startswith("linux-")
    ):
        return []
    bundled = cell.bundled.get(wheel.project, ())  # whose copies are links already
    return [
        {
            "at": f"{_SITE}/{layout.link_folder}/{library.name}",
            "to": library.target,
            "of": library.package or "",
            "why": "a RUNPATH of $ORIGIN is all that glibc follows",
        }
        for library in needed_libraries(
            package, version=wheel.version, subdir=cell.subdir, accelerator=cell.accelerator
        )
        if f"{layout.link_folder}/{library.name}" not in bundled
    ]


def _rule(
    layout: ProjectLayout, rule: Rule, package: str, version: str, *, links: bool
) -> dict[str, Any]:
    """Put a row of layout.yaml into the words of build.py, for one of the wheel's packages.

    Without ``links``, on Windows, what another package has is left there, or a copy of it stays.
    """
    said, prefix = _match(rule), "" if links else f"{_LIBRARY}/"
    if rule.drop is not None:
        return {**said, "do": "drop", "why": rule.drop}
    if rule.share is not None and package == layout.shared_package:
        return {**said, **_unpack_shared(rule, f"{prefix}{rule.share}", version)}
    if rule.share is not None and not links and not rule.copy:
        return {**said, "do": "leave", "of": layout.shared_package}
    common, holder = _holder(layout, rule)
    if package != holder:
        linked = links and rule.share is not None
        return {**said, **_leave(layout, rule, package, holder, linked=linked)}
    if common or rule.share is not None:
        said["shared"] = True
    if rule.share is not None and links:
        moved = {"from": rule.source, "to": rule.share}
        return {**said, **moved, "do": "link", "of": layout.shared_package}
    if rule.own is None:
        said |= _unpack_in_place(rule, version)
    else:
        said |= {"do": "unpack", "from": rule.source, "to": f"{prefix}{rule.own}"}
        said |= {"link_back": True} if links else {}
    return said


def _match(rule: Rule) -> dict[str, Any]:
    said: dict[str, Any] = {"match": list(rule.match)}
    return {**said, "required": True} if rule.required else said


def _holder(layout: ProjectLayout, rule: Rule) -> tuple[bool, str]:
    """Return whether the common package has what site-packages has, and who has it."""
    if rule.common and layout.common_package is not None:
        return True, layout.common_package
    return False, layout.package


def _unpack_shared(rule: Rule, folder: str, version: str) -> dict[str, Any]:
    said: dict[str, Any] = {"shared": True, "from": rule.source, "to": folder, "do": "unpack"}
    return said if rule.patch is None else {**said, "patch": rule.patch.said(version)}


def _unpack_in_place(rule: Rule, version: str) -> dict[str, Any]:
    said: dict[str, Any] = {"do": "unpack", "to": _SITE}
    # a patch of what is shared is for the shared package: the copy stays upstream's
    if rule.patch is None or rule.share is not None:
        return said
    return {**said, "patch": rule.patch.said(version)}


def _leave(
    layout: ProjectLayout, rule: Rule, package: str, holder: str, *, linked: bool
) -> dict[str, Any]:
    """Leave members to another package; the RECORD of the Python package lists them all the same.

    RECORD is about the distribution, whatever packages brought its files
    (packaging.python.org, recording installed projects).
    """
    said = {"do": "leave", "of": holder}
    if package != layout.package:
        return said
    # a patched file has other bytes than the wheel's RECORD says, and whether it is one shows when
    # it is built
    return {**said, "record": "link" if linked or rule.patch is not None else "file"}


def _bundled_rules(
    layout: ProjectLayout, wheel: Wheel, cell: Cell, package: str
) -> list[dict[str, Any]]:
    grouped: dict[tuple[str, str, str], list[Bundled]] = {}
    for copy in bundled_copies(cell, wheel.project):
        place = (copy.library.name, copy.action, copy.member.rpartition("/")[0])
        grouped.setdefault(place, []).append(copy)
    return [_bundled_rule(layout, copies, cell, package) for copies in grouped.values()]


def _bundled_rule(
    layout: ProjectLayout, copies: list[Bundled], cell: Cell, package: str
) -> dict[str, Any]:
    library, action = copies[0].library, copies[0].action
    said: dict[str, Any] = {"match": [copy.member for copy in copies]}
    shared, windows = package == layout.shared_package, on_windows(cell.subdir)
    if action == "drop":
        return {**said, "do": "drop", "why": library.note}
    if package == layout.common_package:
        return {**said, "do": "leave", "of": layout.package}
    if action == "unvendor":
        if windows:  # which looks for a DLL by its name in Library/bin: no link is needed
            why = f"{library.package} has {library.target}: {library.note}"
            return {**said, "do": "drop", "why": why}
        to = {"do": "base", "to": library.target, "of": library.package, "why": library.note}
        return {**said, **to, **({"at": "lib"} if shared else {})}
    if layout.shared_package is None:
        return {**said, "do": "unpack", "to": _SITE, "why": library.note}
    return {**said, **_kept(layout, copies[0], package, windows=windows)}


def _kept(layout: ProjectLayout, copy: Bundled, package: str, *, windows: bool) -> dict[str, Any]:
    if package == layout.shared_package:
        how: dict[str, Any] = {"do": "unpack"}
    elif windows:
        return {"do": "leave", "of": layout.shared_package}
    else:
        how = {"do": "link", "of": layout.shared_package}
    place = f"{_LIBRARY}/bin" if windows else "lib"
    folder = copy.member.rpartition("/")[0]
    return {**how, "shared": True, "from": folder, "to": place, "why": copy.library.note}
