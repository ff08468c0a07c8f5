"""What has to agree within a lock: one in a pull request was written by whoever sent it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, get_args

from packageurl import PackageURL
from packaging.tags import Tag
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from generator.datafiles import subdirs
from generator.model.accelerator import CUDA_LIBRARIES, accelerator_of_label
from generator.model.cell import Cell, Lock, of_train
from generator.model.wheel import ProjectName, Wheel, built_for, is_for
from generator.packages import projects

#: what torch 2.13 and newer say; which requirements update goes by is data/trio_policy.yaml's
_TOOLKIT: Final = re.compile(r"cuda-toolkit(?:\[[^\]]*\])?==(\d+)\.(\d+)\b")


def inconsistencies(lock: Lock) -> Iterator[str]:
    """Yield what does not agree, in words; what stages build on holds in a lock that has none."""
    places: set[tuple[str, ...]] = set()
    records: dict[str, str] = {}
    for cell in lock.cells:
        where = (cell.subdir, str(cell.accelerator))
        if not places.isdisjoint(own := {("line", cell.line, *where), _torch(cell, *where)}):
            yield f"it has {cell.name} twice, or its torch in another line"
        places |= own
        yield from (f"{cell.name}: {why}" for why in _of_cell(cell, lock))
        for wheel in cell.wheels:
            if records.setdefault(wheel.sha256, wheel.record) != wheel.record:
                yield f"{wheel.filename}: its sha256 is that of a file with another RECORD"
    for absent in lock.absent:
        if absent.subdir not in subdirs():
            yield f"there is no subdir {absent.subdir}"


def _torch(cell: Cell, *where: str) -> tuple[str, ...]:
    """Return what packages are called by."""
    return ("torch", cell.train, *where, cell.trio.get("torch", cell.line))


def _of_cell(cell: Cell, lock: Lock) -> Iterator[str]:
    if "torch" not in cell.trio:
        yield "its trio has no torch"
        return
    if cell.subdir not in subdirs():
        yield f"there is no subdir {cell.subdir}"
        return
    torch = cell.wheels_of("torch")
    if not torch or any(wheel.python is None for wheel in torch):
        yield "it has no wheel of torch, or one for no Python"
        return
    yield from _of_projects(cell)
    # a torch for the stable ABI is served for its own Python alone
    alone = (wheel for wheel in cell.wheels if wheel.project == "torch" or not wheel.abi3)
    own = Counter((wheel.project, wheel.python) for wheel in alone)
    for project, python in (each for each, count in own.items() if count > 1 and each[1]):
        yield f"it has two wheels of {project} for Python {python}"
    for absent in cell.absent:
        if not absent.package and absent.python in map(str, cell.pythons()):
            yield f"it has a torch for Python {absent.python}, and says why not"
    yield from _of_groups(cell)
    for wheel in cell.wheels:
        yield from (f"{wheel.filename}: {why}" for why in _of_wheel(wheel, cell, lock))


def _of_projects(cell: Cell) -> Iterator[str]:
    """Hold what a cell is for, and of what, against what is said of it as a whole."""
    trio, known = get_args(ProjectName), projects().values()
    if unknown := sorted(name for name in cell.fill if name in trio or name not in known):
        yield f"it has {', '.join(unknown)}, and packages.yaml has no row for a package of that"
    if not of_train(cell.train, Version(cell.torch)):
        yield f"torch {cell.torch} is no release of the train {cell.train}"
    if cell.candidate is not None and cell.train == "stable":
        yield "it is a candidate, and of the train stable"
    if other := sorted(cell.bundled.keys() - cell.versions.keys()):
        yield f"it says what {other[0]} bundles, which it does not have"
    cuda = not CUDA_LIBRARIES.isdisjoint(cell.libraries)
    if cell.libraries and cuda != (cell.accelerator.cuda is not None):
        yield f"it is for {cell.accelerator}, and its torch's libraries are not"


def _of_groups(cell: Cell) -> Iterator[str]:
    """Hold the groups of Pythons against the wheels: each torch is in one, and only those are.

    What a group's digest says of the RECORDs, building and `verify` hold against them: the lock has
    their sha256 alone.
    """
    own = [str(python) for python in cell.pythons()]
    apart = [python for each in cell.apart for python in each.pythons]
    if cell.sharing is None:
        if apart or cell.apart:
            yield "it has further groups of Pythons, and no first one"
        return
    if unknown := [python for python in apart if python not in own]:
        yield f"one of its groups of Pythons has {unknown[0]}, which it has no torch for"
    if len(set(apart)) != len(apart) or cell.sharing.pythons or not set(own) - set(apart):
        yield "its groups of Pythons overlap, or have no first one"
    for group in cell.groups:
        members = group.pythons or [python for python in own if python not in apart]
        if group.reference not in members or (group is not cell.sharing and not group.pythons):
            yield f"its libtorch of Python {group.reference} is not for that Python"
        once = [*group.per_python, *(each.member for each in group.equivalent)]
        if len(set(once)) != len(once):
            yield f"what is shared with Python {group.reference} has a member twice"
    proofs = {(each.digest, each.equivalent) for each in cell.groups}
    if len(proofs) != len(cell.groups):
        yield "two of its groups of Pythons share the same, and would be one"


def _of_wheel(wheel: Wheel, cell: Cell, lock: Lock) -> Iterator[str]:
    name, version, _, tags = parse_wheel_filename(wheel.filename)
    if (project := canonicalize_name(name)) not in projects().values() or project != wheel.project:
        yield f"it is a wheel of {project}, and stands for {wheel.project}"
    if str(version) != wheel.version:
        yield f"its name says version {version}, and it stands for {wheel.version}"
    wanted = cell.versions.get(wheel.project, "")
    if not wanted or Version(wanted).public != version.public:
        yield f"the cell has {wheel.project} {wanted or 'left out'}"
    said = accelerator_of_label(version.local or "")
    if said not in {None, str(cell.accelerator).removesuffix("-tegra")}:
        yield f"its version says that it is for {said}"
    yield from _of_tags(wheel, cell, tags)
    purl = PackageURL("pypi", None, wheel.project, wheel.version, {"file_name": wheel.filename})
    if wheel.purl != purl.to_string():
        yield f"its purl is {wheel.purl}"
    if (metadata := lock.metadata.get(wheel.metadata)) is None:
        yield "it refers to METADATA that the lock does not have"
        return
    about = canonicalize_name(metadata.name), Version(metadata.version).public
    if about != (wheel.project, version.public):
        yield f"its METADATA is of {metadata.name} {metadata.version}"
    if wheel.project == "torch" and cell.accelerator.cuda is not None:
        lines = {(int(m[1]), int(m[2])) for m in map(_TOOLKIT.match, metadata.requires_dist) if m}
        if lines - {cell.accelerator.cuda}:
            yield f"its METADATA asks for another CUDA than that of {cell.accelerator}"


def _of_tags(wheel: Wheel, cell: Cell, tags: frozenset[Tag]) -> Iterator[str]:
    try:
        tagged = built_for(tags)
    except ValueError as error:
        yield str(error)
        return
    if tagged != (wheel.python, wheel.abi3):
        yield f"it stands for Python {wheel.python}, and its tags do not"
    if not any(wheel.serves(python) for python in cell.pythons()):
        yield "it is for no Python that the cell has a torch for"
    if set(wheel.platforms) != {tag.platform for tag in tags}:
        yield f"it stands for the platforms {', '.join(wheel.platforms)}"
    elif not is_for(wheel.platforms, subdirs()[cell.subdir].wheel_platforms):
        yield f"it is not for {cell.subdir}"
