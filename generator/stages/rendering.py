"""``render``: the lock into recipes and variant configs, checked before they replace the old."""

from __future__ import annotations

from dataclasses import dataclass

from generator.errors import LockError
from generator.lock import write_lock
from generator.rendering import (
    Difference,
    check_numbers,
    check_tree,
    compare_tree,
    number_builds,
    render,
    write_tree,
)
from generator.stages.project import Project


@dataclass(frozen=True, kw_only=True)
class RenderResult:
    """How many files there are, and which were not as they should be."""

    files: int
    differences: tuple[Difference, ...]


def render_feedstock(project: Project, *, check: bool = False) -> RenderResult:
    """Render everything; write it, or with ``check`` only compare.

    Raises:
        FeedstockError, LockError: the inputs cannot be used.
        RenderError: something rendered is not what its schema or rattler-build accepts; nothing
            is written.
        StaleError: a recipe's inputs changed and its build number did not (design D8).
        StorageError: a file cannot be written.

    """
    feedstock, lock = project.declared(), project.locked()
    if not lock.cells and not lock.absent:
        raise LockError(
            "there is no lock yet", where=str(project.lock), next_step="run armtorch update"
        )
    check_numbers(feedstock, lock)
    tree = render(feedstock, lock)
    differences = compare_tree(tree, project.root)
    if not check:
        if differences:
            check_tree(tree)
        write_tree(tree, project.root)
    return RenderResult(files=len(tree.files), differences=tuple(differences))


def renumber(project: Project) -> tuple[str, ...]:
    """Bring the lock's build numbers up to the templates and maps as they are now, offline.

    Returns:
        ``<line>/<package>`` of every changed number or digest.

    """
    feedstock, old = project.declared(), project.locked()
    lock = number_builds(feedstock, old, old)
    if lock != old:
        write_lock(lock, project.lock)
    return tuple(key for key, value in lock.builds.items() if old.builds.get(key) != value)
