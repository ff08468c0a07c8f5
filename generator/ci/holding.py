"""What CI does after a release was tried: cells that failed stay as they were, the rest goes on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from generator.building import file_name
from generator.building.provenance import file_at
from generator.ci.jobs import plan
from generator.ci.releasing import write_changelog
from generator.ci.verdicts import Verdict, read_verdicts
from generator.lock import Announcement, announce, diff_locks, parse_lock, write_lock
from generator.model import Held, Lock
from generator.packages import projects
from generator.project import Project
from generator.rendering import number_builds
from generator.stages.render import render_feedstock
from generator.updating.recorded_judge import code_digest, with_failed


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
    ``channel`` is the folder with the artifacts of the jobs that tried it, ``verdicts`` that with
    what jobs that failed left behind, ``before`` the git revision before the release.
    Raises AbsentError, MissingToolError: git does not have that revision. LockError, RenderError,
    StorageError: as rendering does. UnreachableError: a base channel does not say what it blocks.
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
        variant.id: (variant.cell, file_name(variant, project.root))
        for job in made.jobs.all
        for variant in job.variants
        if variant.subdir != "noarch" and variant.id not in made.blocked
    }
    return tuple(sorted({cell for cell, name in names.values() if name not in there}))


def _row(cell: str, found: Sequence[Verdict], lock: Lock) -> Held | None:
    """Return the row of the first package, in the order of building, that is spoken against."""
    made = lock.by_name[cell]
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
