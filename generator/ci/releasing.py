"""``release``: what the hourly poll does with upstream's news, up to the pull request's text."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Final

from generator.atomic import write_text
from generator.errors import MalformedError
from generator.lock import Announcement, announce, write_lock
from generator.model import Lock
from generator.project import Project
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock

CHANGELOG: Final = "CHANGELOG.md"
_HEAD: Final = "# Changes of the channel\nWritten by `armtorch release`, newest first.\n"


@dataclass(frozen=True, kw_only=True)
class Release:
    """What a release is made of."""

    announcement: Announcement
    #: what the release makes of the lock
    lock: Lock
    #: files that were written, relative to the repository
    files: tuple[str, ...] = ()


def release(project: Project, *, dry_run: bool = False) -> Release:
    """Ask upstream, raise build numbers, render, and write a changelog entry.

    The rule of build numbers is `number_builds`: another version starts at 0; the same version
    from another recipe, wheel or map gets the next one, the offset of CUDA kept.
    Raises IntegrityError: a released wheel has other bytes under its name; nothing is written.
    AbsentError: nothing of the lock is left upstream; nothing is written. RenderError, LockError,
    FeedstockError, StorageError: as update and render do. MalformedError: the changelog is no text.
    """
    found = look(project)
    said = found.announcement
    if dry_run:
        return found
    if not said.changed:
        if found.lock != project.locked():
            write_lock(found.lock, project.lock)
        return found
    # the lock comes last: what is killed before it is still news to the next run
    rendered = render_feedstock(project, lock=found.lock)
    write_changelog(project, said)
    write_lock(found.lock, project.lock)
    files = (project.lock.name, CHANGELOG, *(each.path for each in rendered.differences))
    return replace(found, files=files)


def look(project: Project) -> Release:
    """Ask upstream, and write nothing. Raises as `release` does."""
    old = project.locked()
    updated = update_lock(project, dry_run=True)
    silent = [each.error for each in updated.silent if each.error is not None]
    said = announce(old, updated.lock, updated.diff, updated.findings, silent)
    return Release(announcement=said, lock=updated.lock)


def write_changelog(project: Project, said: Announcement) -> None:
    """Put an entry for today on top of the changelog, where it does not stand already.

    Raises MalformedError: the changelog is no text. StorageError: it cannot be written.
    """
    path = project.root / CHANGELOG
    try:
        before = path.read_text(encoding="utf-8") if path.is_file() else _HEAD
    except UnicodeDecodeError as error:
        raise MalformedError(
            f"not UTF-8: {error}",
            where=str(path),
            next_step="restore the file from git, or delete it; then run armtorch release again",
        ) from error
    head, _, entries = before.partition("\n## ")
    lines = [f"- {row.cell}: {row}" for row in said.diff.rows if not row.kind.startswith("wheel")]
    lines += [f"- {name}: build {was} -> {now}" for name, (was, now) in said.numbers.items()]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    entry = f"## {today}: {said.title}\n" + "\n".join(lines) + "\n"
    if f"\n## {entries}".startswith(f"\n{entry}"):
        return
    rest = f"\n## {entries}" if entries else ""
    write_text(path, f"{head.rstrip()}\n\n{entry}{rest}")
