"""Recorded channels: the real `pytorch` channel and conda-forge's trio, rebuilt from compact rows.

``write`` makes a folder with `pytorch`, `nvidia`, `conda-forge`, `main` (what Anaconda's `defaults`
is known to have: Python and what goes with it) and `armtorch` (all our rendered variants), which
serves as a channel alias.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from generator.project import Project
from generator.rendering import render, tree_records
from generator.testing import write_record_channel
from tests.forge import standins

HERE = Path(__file__).parent
#: on conda-forge for every platform that a case is about
_SUBDIRS: tuple[standins.Subdir, ...] = (
    "linux-aarch64",
    "osx-arm64",
    "linux-64",
    "osx-64",
    "win-64",
)
_MAIN = ("filelock", "jinja2", "markupsafe", "numpy", "pillow", "pip", "setuptools", "wheel")


@dataclass(frozen=True)
class Recorded:
    """The folder with the channels."""

    folder: Path

    @property
    def alias(self) -> str:
        return self.folder.resolve().as_uri()


def write(project: Project, folder: Path) -> Recorded:
    """Write all five channels."""
    base = _base()
    standins.write(folder / "conda-forge", _with(base, _rows("conda-forge")))
    for name in ("pytorch", "nvidia"):
        packages = _rows(name)
        rows = standins.Rows(pythons=base.pythons, packages=packages, python_subdirs=())
        standins.write(folder / name, rows)
    kept = tuple(row for row in base.packages if row.name in _MAIN or row.name.startswith("lib"))
    standins.write(folder / "main", base.model_copy(update={"packages": kept}))
    records = tree_records(render(project.declared(), project.locked()))
    write_record_channel(records.values(), folder / "armtorch")
    return Recorded(folder)


def _base() -> standins.Rows:
    rows = standins.load()
    packages = tuple(
        row.model_copy(update={"subdirs": _SUBDIRS}) if len(row.subdirs) == 2 else row
        for row in rows.packages
    )
    return rows.model_copy(update={"packages": packages, "python_subdirs": _SUBDIRS})


def _rows(name: str) -> tuple[standins.PackageRow, ...]:
    loaded = YAML(typ="safe").load(HERE / f"{name}.yaml")
    return tuple(standins.PackageRow.model_validate(row) for row in loaded)


def _with(base: standins.Rows, rows: tuple[standins.PackageRow, ...]) -> standins.Rows:
    return base.model_copy(update={"packages": (*base.packages, *rows)})
