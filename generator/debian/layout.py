"""Lays the files of Debian's packages out as conda has them, by a row."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from generator.debian.deb import Deb
from generator.debian.rows import BaseRows, DebRow, Target
from generator.errors import DataError
from generator.inspecting.read_wheel import pattern

_DOC: Final = "usr/share/doc"
#: a chain of links from a package's documentation to another's
_LINKS: Final = 4
_NEXT: Final = "mend the row in generator/data/debian.yaml"


def lay_out(
    row: DebRow, debs: Sequence[Deb], tree: Path, rows: BaseRows, target: Target
) -> dict[str, str]:
    """Copy what a row takes into ``tree``; return each path's file in Debian.

    Raises DataError: a file that the row names is not there, is taken twice, or has no place.
    """
    origins: dict[str, str] = {}
    unmet = {target.fill(glob) for glob in row.files}
    for deb in debs:
        for name, path in deb.files():
            taken = [glob for glob in row.files if _fits(name, target.fill(glob))]
            if not taken or any(_fits(name, target.fill(glob)) for glob in row.left_out):
                continue
            unmet.difference_update(target.fill(glob) for glob in taken)
            place = _place(row, name, rows, target)
            if place in origins:
                raise _wrong(row, f"{place} is taken from {origins[place]} and from {name}")
            if _copy(path, name, place, tree, (row, rows, target)):
                origins[place] = f"{deb.name}:{name}"
    if unmet:
        raise _wrong(row, f"Debian has no file that fits {', '.join(sorted(unmet))}")
    for place, glob in row.joined.items():
        parts = [path for deb in debs for name, path in deb.files() if _fits(name, glob)]
        if not parts:
            raise _wrong(row, f"Debian has no file that fits {glob}")
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        (tree / place).write_bytes(b"".join(path.read_bytes() for path in parts))
        shutil.copystat(parts[-1], tree / place)
        origins[place] = f"{debs[0].name}:{glob}"
    link_all(row.links, tree)
    return origins


def link_all(links: dict[str, str], tree: Path) -> None:
    """Make the links that a row has of its own."""
    for place, there in links.items():
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        (tree / place).symlink_to(there)


def copyrights(row: DebRow, debs: Sequence[Deb]) -> dict[str, bytes]:
    """Return the licences of what a row takes, by their paths below info/.

    Raises DataError: a package has none, nor links to one of those that the row takes.
    """
    found: dict[str, bytes] = {}
    for deb in debs:
        name = deb.name
        for _ in range(_LINKS):
            folders = [each.folder / _DOC / name for each in debs]
            link = next((each for each in folders if each.is_symlink()), None)
            if link is None:
                break
            name = link.readlink().name
        texts = [path for path in (each / "copyright" for each in folders) if path.is_file()]
        if not texts:
            raise _wrong(row, f"the copyright file of {deb.name} is in {name}, which is not taken")
        found[f"licenses/{name}/copyright"] = texts[0].read_bytes()
    return found


def _copy(
    path: Path, name: str, place: str, tree: Path, rule: tuple[DebRow, BaseRows, Target]
) -> bool:
    """Copy a file, or make the link that leads to the same file; False for one to itself."""
    there = tree / place
    there.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink():
        shutil.copy2(path, there)
        return True
    link = str(path.readlink())
    aim = (
        link[1:]
        if link.startswith("/")
        else os.path.normpath(f"{PurePosixPath(name).parent}/{link}")
    )
    row, rows, target = rule
    aim = _place(row, aim, rows, target)
    if aim == place:
        return False
    there.symlink_to(os.path.relpath(aim, PurePosixPath(place).parent))
    return True


def _fits(name: str, glob: str) -> bool:
    return pattern(glob).fullmatch(name) is not None


def _place(row: DebRow, name: str, rows: BaseRows, target: Target) -> str:
    for there, here in target.places(row.places, rows.places):
        if name.startswith(there):
            return here + name.removeprefix(there)
    raise _wrong(row, f"{name} has no place in a prefix")


def _wrong(row: DebRow, what: str) -> DataError:
    return DataError(what, where=f"generator/data/debian.yaml, {row.conda}", next_step=_NEXT)
