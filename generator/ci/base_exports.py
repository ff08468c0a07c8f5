"""``ci exports``: a library of a base channel, as it is there today, against what torch takes."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Final

from packaging.version import Version

from generator.datafiles import subdirs
from generator.errors import AbsentError, IntegrityError
from generator.inspecting.exports import Exports, compare_exports
from generator.matrix import reference_wheel
from generator.project import Project
from generator.testing import Machine, solve
from generator.transport import open_session, read_body, typed
from generator.upstream.reaching import fetch_wheels
from generator.urls import local_path

#: bytes of a package at most
_LONGEST: Final = 1 << 30


def base_exports(project: Project, *, base: str, spec: str, library: str, subdir: str) -> Exports:
    """Fetch the newest package of ``spec`` and compare it with the newest torch that bundles it.

    ``spec`` is what provides the library there, ``libopenblas * openmp_*``.
    Raises AbsentError: no torch of the lock bundles a copy, or the base has no such package.
    SolveError, UnreachableError: the base does not give it. IntegrityError: what came is not what
    its record says.
    """
    machine = Machine.of(subdirs()[subdir], native=False)
    name = spec.split(maxsplit=1)[0]
    records = solve([spec], channels=[base], machine=machine)
    record = next(each for each in records if each.name.normalized == name)
    with tempfile.TemporaryDirectory(prefix="armtorch-exports-") as folder:
        package = Path(folder) / record.file_name
        package.write_bytes(_read(str(record.url), record.size or _LONGEST))
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        if record.sha256 is not None and digest != record.sha256.hex():
            raise IntegrityError(
                f"its sha256 is {digest}, the channel says {record.sha256.hex()}",
                where=str(record.url),
                next_step="try again; tell the channel's owner if it stays so",
            )
        return _against_torch(project, package, library, subdir)


def _against_torch(project: Project, package: Path, library: str, subdir: str) -> Exports:
    lock = project.known()
    cells = [c for c in lock.cells if c.subdir == subdir and c.accelerator.cuda is None]
    for cell in sorted(cells, key=lambda cell: Version(cell.torch), reverse=True):
        wheel = reference_wheel(cell)
        if wheel is None:
            continue
        fetch_wheels(project, project.declared(), (wheel,), jobs=1)
        path = project.wheelhouse / wheel.sha256[:16] / wheel.filename
        try:
            return compare_exports(package, path, library=library)
        except AbsentError as error:
            project.narrator.say(f"{wheel.filename}: {error.what}")
    raise AbsentError(
        f"no torch of the lock bundles a copy of {library}",
        where=subdir,
        next_step="its row in generator/data/sonames.yaml, and this check, can go",
    )


def _read(url: str, size: int) -> bytes:
    if (path := local_path(url)) is not None:
        return path.read_bytes()
    with typed(url), open_session(files=True, retries=True) as session:
        answer = session.get(url, stream=True)
        answer.raise_for_status()
        return read_body(answer, min(size, _LONGEST), url)
