"""``render``: the lock into recipes and variant configs, checked before they replace the old."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from generator.errors import StaleError
from generator.lock import write_lock
from generator.model import Lock, Variant
from generator.project import Project
from generator.rendering import (
    Difference,
    RenderedTree,
    check_numbers,
    check_tree,
    compare_tree,
    number_builds,
    render,
    workflow_files,
    write_tree,
)
from generator.rendering.unpacking import FOLDER as UNPACKER
from generator.rendering.workflows import FOLDER


@dataclass(frozen=True, kw_only=True)
class RenderResult:
    """How many files there are, and which were not as they should be."""

    files: int
    differences: tuple[Difference, ...]


def render_feedstock(
    project: Project, *, check: bool = False, lock: Lock | None = None
) -> RenderResult:
    """Render everything; write it, or with ``check`` only compare.

    ``lock`` is what the lock is going to be, where that is not written yet.
    Raises FeedstockError, LockError: the inputs cannot be used.
    RenderError: something rendered is not what its schema or rattler-build accepts; nothing is
        written.
    StaleError: a recipe's inputs changed and its build number did not (decision D8).
    StorageError: a file cannot be written.
    """
    feedstock, lock = project.declared(), lock or project.known()
    check_numbers(feedstock, lock)
    tree = render(feedstock, lock)
    differences = compare_tree(tree, project.tree)
    if not check:
        if differences:
            check_tree(tree)
        write_tree(tree, project.tree)
    return RenderResult(files=len(tree.files), differences=tuple(differences))


def check_rendered(project: Project) -> int:
    """Check everything that would be rendered, and compare it with what is committed.

    Returned is how many files that is.
    Raises FeedstockError, LockError: the inputs cannot be used.
    RenderError: something is not what its schema, rattler-build or conda-smithy accept.
    StaleError: committed files differ from it, or a build number was not raised.
    """
    check_numbers(project.declared(), project.known())
    tree = project.made(render)
    check_tree(tree)
    differences = compare_tree(tree, project.tree)
    if differences:
        raise StaleError(
            f"{len(differences)} of {len(tree.files)} generated files are not what the lock and "
            f"the templates give; the first is {differences[0].path}",
            where=str(project.tree),
            next_step="run armtorch render",
        )
    return len(tree.files)


def refuse_edited(project: Project, chosen: Sequence[Variant]) -> None:
    """Raise StaleError where a chosen variant's recipe, unpacker or config is not as rendered.

    A package says in its digest what it is made from; a recipe edited by hand, or a file that
    lies beside it, would make that a lie.
    """
    folders = {UNPACKER, *(posixpath.dirname(each.recipe_path) for each in chosen)}
    configs = {each.config_path for each in chosen}
    tree = project.made(render)
    for found in compare_tree(tree, project.tree):
        if found.path in configs or any(found.path.startswith(f"{each}/") for each in folders):
            raise StaleError(
                f"{found.kind}: not what the lock and the templates give",
                where=found.path,
                next_step="see armtorch render --check; run armtorch render, or change templates/",
            )


def refuse_stale_workflows(project: Project) -> None:
    """Raise StaleError where a workflow is not as rendered, which a release would have to write.

    A workflow's own token may change none: GitHub refuses the push of all that the release is.
    """
    files = workflow_files(project.declared())
    for found in compare_tree(RenderedTree(files, ()), project.tree):
        if found.path.startswith(FOLDER):
            raise StaleError(
                f"{found.kind}: not what feedstock.yaml gives, and no workflow may write it",
                where=found.path,
                next_step="run armtorch render, commit and push it; then releases go on",
            )


def renumber(project: Project) -> tuple[str, ...]:
    """Bring the lock's build numbers up to the templates and maps as they are now, offline.

    Returned is ``<line>/<package>`` of every changed number or digest.
    """
    feedstock, old = project.declared(), project.locked()
    lock = number_builds(feedstock, old, old)
    if lock != old:
        write_lock(lock, project.lock)
    return tuple(key for key, value in lock.builds.items() if old.builds.get(key) != value)
