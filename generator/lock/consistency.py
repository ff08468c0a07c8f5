"""What has to agree within a lock: one in a pull request was written by whoever sent it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from packageurl import PackageURL
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from generator.datafiles import subdirs
from generator.model.cell import Cell, Lock
from generator.model.wheel import ProjectName, Wheel
from generator.packages import projects


def inconsistencies(lock: Lock) -> Iterator[str]:
    """Yield what does not agree, in words; what stages build on holds in a lock that has none."""
    seen: set[tuple[str, str, str]] = set()
    for cell in lock.cells:
        place = (cell.line, cell.subdir, str(cell.accelerator))
        if place in seen:
            yield f"it has {cell.name} twice"
        seen.add(place)
        yield from (f"{cell.name}: {why}" for why in _of_cell(cell, lock))
    for absent in lock.absent:
        if absent.subdir not in subdirs():
            yield f"there is no subdir {absent.subdir}"


def _of_cell(cell: Cell, lock: Lock) -> Iterator[str]:
    if "torch" not in cell.trio:
        yield "its trio has no torch"
        return
    if cell.subdir not in subdirs():
        yield f"there is no subdir {cell.subdir}"
        return
    if unknown := sorted(
        name
        for name in cell.fill
        if name in get_args(ProjectName) or name not in projects().values()
    ):
        yield f"it has {', '.join(unknown)}, and packages.yaml has no row for a package of that"
    torch = cell.wheels_of("torch")
    if not torch or any(wheel.python is None for wheel in torch):
        yield "it has no wheel of torch, or one for no Python"
        return
    if len({wheel.python for wheel in torch}) != len(torch):
        yield "it has two wheels of torch for one Python"
    yield from _of_groups(cell)
    for wheel in cell.wheels:
        yield from (f"{wheel.filename}: {why}" for why in _of_wheel(wheel, cell, lock))


def _of_groups(cell: Cell) -> Iterator[str]:
    apart = [python for each in cell.apart for python in each.pythons]
    if len(set(apart)) != len(apart) or (cell.sharing is None and apart):
        yield "its groups of Pythons overlap, or have no first one"
    for number, group in enumerate(cell.groups):
        if group.reference not in map(str, cell.pythons()):
            yield f"its libtorch is of Python {group.reference}, which it has no torch for"
        if group.reference in apart if number == 0 else group.reference not in group.pythons:
            yield f"its libtorch of Python {group.reference} is not for that Python"


def _of_wheel(wheel: Wheel, cell: Cell, lock: Lock) -> Iterator[str]:
    name, version, _, tags = parse_wheel_filename(wheel.filename)
    if (project := canonicalize_name(name)) not in projects().values() or project != wheel.project:
        yield f"it is a wheel of {project}, and stands for {wheel.project}"
    if str(version) != wheel.version:
        yield f"its name says version {version}, and it stands for {wheel.version}"
    wanted = cell.versions.get(wheel.project, "")
    if not wanted or Version(wanted).public != version.public:
        yield f"the cell has {wheel.project} {wanted or 'left out'}"
    if set(wheel.platforms) != {tag.platform for tag in tags}:
        yield f"it stands for the platforms {', '.join(wheel.platforms)}"
    purl = PackageURL("pypi", None, wheel.project, wheel.version, {"file_name": wheel.filename})
    if wheel.purl != purl.to_string():
        yield f"its purl is {wheel.purl}"
    if (metadata := lock.metadata.get(wheel.metadata)) is None:
        yield "it refers to METADATA that the lock does not have"
    elif canonicalize_name(metadata.name) != wheel.project:
        yield f"its METADATA is of {metadata.name}"
