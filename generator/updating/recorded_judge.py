"""What only building could show, as the lock remembers it: nobody tries the same thing hourly."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from generator.datafiles import laid_over
from generator.model import Accelerator, Finding, Held, HeldCell, Lock
from generator.rendering import templates
from generator.updating.judging import Prospect

_PACKAGE: Final = Path(__file__).parents[1]
#: code, data and templates: what decides how a wheel is packaged and judged
_SUFFIXES: Final = frozenset({".py", ".yaml", ".jinja", ".json", ".txt"})


@cache
def code_digest() -> str:
    """Return a digest of armtorch's own code, data and templates, and of a channel's own rows."""
    found = hashlib.sha256()
    own = laid_over()
    for folder in (_PACKAGE, templates.folder(), *([own] if own is not None else [])):
        for path in sorted(each for each in folder.rglob("*") if each.suffix in _SUFFIXES):
            content = path.read_bytes()
            name = path.relative_to(folder).as_posix()
            found.update(f"{folder.name}/{name} {len(content)}\n".encode())
            found.update(content)
    return found.hexdigest()


@dataclass(frozen=True, kw_only=True)
class RecordedJudge:
    """Repeats what a build showed, until armtorch changes or upstream publishes another release."""

    #: the lock as it was
    lock: Lock

    def __call__(self, prospect: Prospect) -> tuple[Finding, ...]:
        """Return what the lock remembers of a release; see `Judge`."""
        version = prospect.release.version.public
        return tuple(
            row.finding
            for subdir, accelerator, row in self._rows()
            if row.judged_by == code_digest()
            and (row.project, row.version) == (prospect.project, version)
            and subdir == prospect.subdir.name
            and _is_of(accelerator, prospect.accelerator)
            and row.python in {None, *prospect.wheels}
        )

    def _rows(self) -> tuple[tuple[str, str, Held], ...]:
        cells = [(c.subdir, str(c.accelerator), row) for c in self.lock.cells for row in c.held]
        return (*cells, *((row.subdir, row.accelerator, row) for row in self.lock.held))


def with_failed(lock: Lock, before: Lock, failed: dict[str, Held | None]) -> Lock:
    """Return a lock whose cells that failed are as they were in the lock before it.

    A cell of ``before`` that a failed one superseded comes back. ``failed``: name of a cell -> the
    row that says why; None where nothing tells, so that it is tried again.
    """
    good = [cell for cell in lock.cells if cell.name not in failed]
    held: list[HeldCell] = [*lock.held]
    for cell in lock.cells:
        if cell.name not in failed:
            continue
        names = {each.name for each in good}
        place = (cell.train, cell.subdir, cell.accelerator)
        back = [
            each
            for each in before.cells
            if (each.train, each.subdir, each.accelerator) == place
            and each.name not in names
            and each.name not in failed
        ]
        same = [each for each in before.cells if each.name == cell.name]
        row = failed[cell.name]
        kept = same or back
        if row is not None:
            instead = kept[0].versions.get(row.project, "") if kept else ""
            held.append(HeldCell.of(row, cell, instead=instead))
        good += kept
    unique = {cell.name: cell for cell in good}
    metadata = {**before.metadata, **lock.metadata}
    used = {wheel.metadata for cell in unique.values() for wheel in cell.wheels}
    return Lock(
        cells=tuple(unique.values()),
        metadata={key: said for key, said in metadata.items() if key in used},
        builds=lock.builds,
        absent=lock.absent,
        held=tuple(dict.fromkeys(held)),
    ).in_order()


def _is_of(accelerator: str, of: Accelerator) -> bool:
    return accelerator == str(of) or (
        accelerator == "cuda" and of.cuda is not None and not of.tegra
    )
