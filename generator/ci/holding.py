"""What CI does after a release was tried: cells that failed stay as they were, the rest goes on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from generator.building import BuildReport, file_name
from generator.building.provenance import file_at
from generator.ci.jobs import cell_of, plan
from generator.ci.releasing import write_changelog
from generator.console import Narrator
from generator.documents import limits, read_bytes
from generator.lock import Announcement, announce, diff_locks, parse_lock, write_lock
from generator.model import FindingKind, Held, Lock
from generator.packages import projects
from generator.project import Project
from generator.rendering import number_builds
from generator.stages.render import render_feedstock
from generator.testing import PackageReport
from generator.updating.recorded_judge import code_digest, with_failed

_CLOSED: Final = ConfigDict(extra="forbid")
#: what is said by the package, and not by a machine, a network or a base channel
_KINDS: Final[dict[str, FindingKind]] = {"build": "build", "linkage": "audit", "render": "render"}
_LONGEST: Final = 300


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Why one package of a tried release cannot be served."""

    __pydantic_config__ = _CLOSED

    #: conda name
    package: str
    #: ``<line>/<subdir>/<accelerator>``
    cell: str
    kind: Literal["build", "audit", "test", "render"]
    detail: Annotated[str, Field(max_length=_LONGEST)]


_VERDICTS: Final = TypeAdapter(tuple[Verdict, ...])


def build_verdicts(report: BuildReport, cells: Mapping[str, str]) -> tuple[Verdict, ...]:
    """Return what a build says against packages; ``cells`` has the cell of each variant."""
    return tuple(
        Verdict(
            package=row.id.split("/")[1],
            cell=cells[row.id],
            kind=_KINDS[row.error.kind],  # type: ignore[arg-type]
            detail=_short(row.error.what),
        )
        for row in report.failed
        if row.error is not None and row.error.kind in _KINDS and row.id in cells
    )


def test_verdicts(
    reports: Sequence[PackageReport], cells: Mapping[str, tuple[str, str]]
) -> tuple[Verdict, ...]:
    """Return what tests say against packages; ``cells`` has package and cell by file name."""
    return tuple(
        Verdict(
            package=cells[report.package][0],
            cell=cells[report.package][1],
            kind="test",
            detail=_short(f"{step.name}: {step.output}"),
        )
        for report in reports
        for step in report.steps
        # what cannot be installed lacks something of the base channel, which comes by itself
        if step.outcome == "failed" and step.name != "install" and report.package in cells
    )


def verdicts_text(found: Sequence[Verdict]) -> str:
    """Return verdicts as the JSON that a job leaves behind."""
    return _VERDICTS.dump_json(tuple(found), indent=2).decode() + "\n"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is left of a release once the cells that failed are as they were."""

    #: cells that were not built and tested whole
    failed: tuple[str, ...]
    #: whether anything of the release is left to be merged
    changed: bool
    announcement: Announcement

    @property
    def outcome(self) -> Literal["success", "error"]:
        """How trying the release ended: nothing is left of it where no verdict says why."""
        return "success" if self.changed else "error"


def keep_good(project: Project, channel: Path, verdicts: Path, *, before: str) -> Kept:
    """Put the cells whose tried packages are not all there back to what was good, and render.

    What a verdict speaks against is held until armtorch changes or upstream publishes the next
    release; a cell of which nothing tells why it failed is tried again the next time.

    Args:
        project: the feedstock as it was tried, in a git repository.
        channel: the folder with the artifacts of the jobs that tried it.
        verdicts: the folder with what jobs that failed left behind.
        before: the git revision before the release.

    Raises:
        AbsentError, MissingToolError: git does not have that revision.
        LockError, RenderError, StorageError: as rendering does.
        UnreachableError: a base channel does not say what it blocks.

    """
    feedstock, lock = project.declared(), project.known()
    old = parse_lock(file_at(project.lock, before), where=f"{before}:{project.lock.name}")
    found = read_verdicts(verdicts, project.narrator)
    failed = {cell: _row(cell, found, lock) for cell in _failed(project, channel)}
    kept = with_failed(lock, old, failed)
    kept = number_builds(feedstock, kept, old) if failed else lock
    said = announce(old, kept, diff_locks(old, kept), ())
    if failed:
        render_feedstock(project, lock=kept)
        write_changelog(project, said)
        write_lock(kept, project.lock)
    return Kept(failed=tuple(failed), changed=said.changed, announcement=said)


def _failed(project: Project, channel: Path) -> tuple[str, ...]:
    """Return the cells of which a package that was to be tried is not there.

    What the base channels block was not tried.
    """
    made = plan(project, sample=True, machine=())
    there = {path.name for path in channel.rglob("*.conda")}
    names = {
        variant.id: (cell_of(variant), file_name(variant, project.root))
        for job in made.jobs.all
        for variant in job.variants
        if variant.subdir != "noarch" and variant.id not in made.blocked
    }
    return tuple(sorted({cell for cell, name in names.values() if name not in there}))


def read_verdicts(folder: Path, narrator: Narrator) -> tuple[Verdict, ...]:
    """Read what jobs left behind; what is no verdict speaks against nothing, and stops no others.

    A job that upstream's code ran in may leave anything.
    """
    found: list[Verdict] = []
    for path in sorted(folder.rglob("*.json")):
        try:
            found += _VERDICTS.validate_json(read_bytes(path, limits().yaml.bytes))
        except (OSError, ValidationError):
            narrator.warn(f"{path.name}: not a verdict of armtorch build or test")
    return tuple(found)


def _row(cell: str, found: Sequence[Verdict], lock: Lock) -> Held | None:
    """Return the row of the first package, in the order of building, that is spoken against."""
    (made,) = (each for each in lock.cells if each.name == cell)
    order = list(projects())
    own = [each for each in found if each.cell == cell and each.package in projects()]
    own = [each for each in own if projects()[each.package] in made.versions]
    if not own:
        return None
    first = min(own, key=lambda each: (order.index(each.package), each.kind, each.detail))
    project = projects()[first.package]
    return Held(
        kind=first.kind,
        detail=first.detail,
        next_step="look at the jobs of the run that tried it; it is tried again when armtorch or "
        "its data change, and upstream's next release by itself",
        judged_by=code_digest(),
        project=project,
        version=made.versions[project],
        since=dt.datetime.now(dt.UTC).date().isoformat(),
    )


def _short(text: str) -> str:
    """Keep the first of a message: one line, and nothing of the machine's folders."""
    words = (word for word in text.split() if not word.startswith(("/", "\"'/", "C:\\")))
    return " ".join(words)[:_LONGEST]
