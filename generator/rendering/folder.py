"""The rendered tree on disk: written, and compared with what is there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

from generator import atomic
from generator.atomic import on_disk
from generator.errors import RenderError, StorageError
from generator.rendering.tree import GENERATED, RenderedTree
from generator.rendering.workflows import is_persons

#: stale: other content than would be rendered; stray: nothing renders a file of that name
Kind = Literal["stale", "missing", "stray"]


@dataclass(frozen=True)
class Difference:
    """A file that is not what render would leave there."""

    path: str
    kind: Kind
    #: unified diff from what is there to what would be
    diff: str


def compare_tree(tree: RenderedTree, root: Path) -> tuple[Difference, ...]:
    """Return how the folder differs from the tree, by path; changes nothing.

    Raises StorageError: a file cannot be read.
    """
    found = []
    for path, content in tree.files.items():
        there = _read(root / path)
        if there != content and not is_persons(there, content):
            found.append(
                Difference(
                    path,
                    "missing" if there is None else "stale",
                    _diff(path, there or b"", content),
                )
            )
    found += [Difference(path, "stray", "") for path in strays(tree, root)]
    return tuple(sorted(found, key=lambda difference: difference.path))


def write_tree(tree: RenderedTree, root: Path) -> tuple[Difference, ...]:
    """Make the folder like the tree and return what was changed.

    Every file is replaced whole; strays go after the new files are in place, so a run that is
    stopped anywhere leaves files that are each old or new, and the next run goes on.
    Raises StorageError: the folder cannot be written; the message names the file.
    """
    _refuse_leaving(tree)
    refuse_links((*tree.files, *(f"{name}/any" for name in GENERATED)), root)
    changed = compare_tree(tree, root)
    for difference in changed:
        if difference.kind != "stray":
            atomic.write_bytes(root / difference.path, tree.files[difference.path], durable=False)
    for difference in changed:
        if difference.kind == "stray":
            _remove(root, difference.path)
    return changed


def _refuse_leaving(tree: RenderedTree) -> None:
    """Raise RenderError for a name that leads out of the folder; none can, as names are read."""
    for name in tree.files:
        parts = PurePosixPath(name).parts
        if ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive:
            raise RenderError(
                "it would be written outside of the feedstock's folder",
                where=name,
                next_step="do not use this lock: somebody wrote it to do harm",
            )


def refuse_links(names: Iterable[str], root: Path) -> None:
    """Raise StorageError where a folder that is written to is a link: it may lead anywhere.

    ``names`` are files below ``root``, which may be reached by links itself.
    """
    folders = {parent for name in names for parent in PurePosixPath(name).parents}
    for folder in sorted(folders):
        if str(folder) != "." and (root / folder).is_symlink():
            raise StorageError(
                "it is a symbolic link, and generated files are only written into real folders",
                where=str(root / folder),
                next_step="put a folder in its place",
            )


def strays(tree: RenderedTree, root: Path) -> Iterator[str]:
    """Yield what lies in generated folders and is not in the tree, sorted."""
    for folder in GENERATED:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            if (path.is_symlink() or not path.is_dir()) and name not in tree.files:
                yield name


def _remove(root: Path, name: str) -> None:
    path = root / name
    with on_disk("cannot be removed", path, "remove it by hand and run it again"):
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == root or any(parent.iterdir()):
                break
            parent.rmdir()


def _read(path: Path) -> bytes | None:
    with (
        on_disk("cannot be read", path, "give yourself the right to read it"),
        suppress(FileNotFoundError, NotADirectoryError),
    ):
        return path.read_bytes()
    return None


def _diff(path: str, there: bytes, wanted: bytes) -> str:
    before, after = (
        content.decode("utf-8", "replace").splitlines(keepends=True) for content in (there, wanted)
    )
    return "".join(difflib.unified_diff(before, after, f"a/{path}", f"b/{path}"))
