"""The committed lock with trains that move: what `armtorch update` would find of an rc and nightly.

Their cells are cells of releases under other versions, so that what renders them is the same code
and what they need is what the stand-ins of the base channel have.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from generator.console import Silent
from generator.lock import read_lock, write_lock
from generator.model import Cell, Lock, Metadata
from generator.model.cell import TrainName
from generator.project import Project
from generator.rendering import number_builds, render, write_tree
from tests.own_feedstock import DECLARED, FOLDER, LOCK

NIGHTLY = "2.16.0.dev20261120"
#: upstream's candidates have the final version in their names
CANDIDATE = "2.16.0"
#: train and line of a release -> old version to new version
_MOVES: dict[tuple[TrainName, str], dict[str, str]] = {
    ("nightly", "2.10"): {"2.10.0": NIGHTLY, "0.25.0": "0.31.0.dev20261119"},
    ("rc", "2.15"): {"2.15.0": CANDIDATE, "0.29.2": "0.31.0", "2.11.0": "2.11.1"},
}


def project_with_trains(folder: Path) -> Project:
    """Write a feedstock with an rc and a nightly train into a folder, rendered."""
    path = folder / "feedstock.yaml"
    text = DECLARED.read_text(encoding="utf-8")
    stable = "    indexes: [pypi]\n"
    moving = "".join(f"  {train}: {{indexes: [pypi]}}\n" for train in ("rc", "nightly"))
    path.write_text(text.replace(stable, stable + moving, 1), encoding="utf-8")
    shutil.copy(FOLDER / "conda-forge.yml", folder)
    project = Project(feedstock=path, narrator=Silent())
    lock = with_trains(read_lock(LOCK))
    lock = number_builds(project.declared(), lock, lock)
    write_lock(lock, project.lock)
    write_tree(render(project.declared(), lock), folder)
    return project


def with_trains(lock: Lock) -> Lock:
    """Return a lock that has every cell of the moves above besides its own."""
    cells, metadata = list(lock.cells), dict(lock.metadata)
    for (train, line), versions in _MOVES.items():
        for cell in (each for each in lock.cells if each.line == line):
            moved, said = with_versions(cell, lock.metadata, versions, salt=train)
            cells.append(replace(moved, line=train, train=train))
            metadata |= said
    return replace(lock, cells=tuple(cells), metadata=metadata).in_order()


def with_versions(
    cell: Cell, metadata: Mapping[str, Metadata], versions: Mapping[str, str], *, salt: str
) -> tuple[Cell, dict[str, Metadata]]:
    """Return a cell of other versions, old to new, with other bytes, and its METADATA."""
    wheels, said = [], {}
    for wheel in cell.wheels:
        old, other = metadata[wheel.metadata], _other(wheel.metadata, salt)
        said[other] = replace(
            old,
            version=_moved(old.version, versions),
            requires_dist=tuple(_moved(text, versions) for text in old.requires_dist),
        )
        wheels.append(
            replace(
                wheel,
                version=_moved(wheel.version, versions),
                filename=_moved(wheel.filename, versions),
                purl=_moved(wheel.purl, versions),
                sha256=_other(wheel.sha256, salt),
                metadata=other,
            )
        )
    trio = {name: _moved(version, versions) for name, version in cell.trio.items()}
    return replace(cell, trio=trio, wheels=tuple(wheels)), said


def _moved(text: str, versions: Mapping[str, str]) -> str:
    for old, new in versions.items():
        text = text.replace(old, new)
    return text


def _other(digest: str, salt: str) -> str:
    return hashlib.sha256(f"{salt} {digest}".encode()).hexdigest()
