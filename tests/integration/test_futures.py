"""What upstream may do next: `armtorch release` serves what it can and says what it holds back."""

from __future__ import annotations

import fnmatch
import re
import shutil
from pathlib import Path

import pytest

from generator.model import Cell, Lock
from generator.project import Project
from tests import tiny_repodata
from tests.futures import Future, before, futures, published
from tests.in_process import lock_of, project_at, run
from tests.index_server import Behaviour, IndexServer
from tests.synthetic_wheels import write_zip

pytestmark = pytest.mark.integration

FEEDSTOCK = """\
channel: armtorch
maintainers: [someone]
carry_armtorch: false
indexes: {{pypi: {{kind: pip}}}}
trains:
  stable: {{keep: [newest, newest-complete], indexes: [pypi]}}
subdirs:
  {subdir}: {{accelerators: [{accelerator}], base: ["{base}"]}}
fill: [triton]
"""
#: what the base channel has of that futures ask for and no row names
IN_BASE = ("psutil", "soxr")


@pytest.fixture(scope="module")
def yesterdays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each kind of cell a folder with wheels and a locked feedstock."""
    found: dict[str, Path] = {}
    for kind in sorted({future.cell for future in futures()}):
        folder = tmp_path_factory.mktemp(kind)
        for wheel in before(kind):
            wheel.write(folder / "wheels")
        (folder / "feedstock").mkdir()
        subdir = "osx-arm64" if kind == "osx" else "linux-aarch64"
        accelerator = "cuda" if kind == "cuda" else "cpu"
        rows = [tiny_repodata.record(name, "9.0", subdir="noarch") for name in IN_BASE]
        base = tiny_repodata.write(folder / "base", {"noarch": rows, subdir: []})
        text = FEEDSTOCK.format(subdir=subdir, accelerator=accelerator, base=base)
        (folder / "feedstock" / "feedstock.yaml").write_text(text, encoding="utf-8")
        with IndexServer(folder / "wheels") as server:
            project = project_at(folder / "feedstock", server.url, folder / "cache")
            ran = run(project, "release", "--json")
        assert (ran.exit_code, ran.crash) == (0, ""), ran
        (cell,) = lock_of(project).cells
        assert cell.absent == (), cell.absent
        found[kind] = folder
    return found


def test_there_are_forty_futures_of_different_names() -> None:
    assert len({future.name for future in futures()}) == len(futures()) >= 40


@pytest.mark.parametrize("future", futures(), ids=lambda each: re.sub(r"\W+", "-", each.name))
def test_the_future(future: Future, yesterdays: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "world"
    shutil.copytree(yesterdays[future.cell], folder)
    with IndexServer(folder / "wheels", Behaviour()) as server:
        project = project_at(folder / "feedstock", server.url, folder / "cache")
        for day in future.days:
            for wheel in published(day):
                name = day.file_name.get(wheel.project, "{name}.whl")
                stem = wheel.filename.removesuffix(".whl")
                path = folder / "wheels" / name.replace("{name}", stem)
                write_zip(path, wheel.members_in_order())
            listed = {path.name for path in (folder / "wheels").glob("*.whl")}
            for glob, reason in day.yank.items():
                server.behaviour.yanked |= dict.fromkeys(fnmatch.filter(listed, glob), reason)
            for glob in day.withdraw:
                for name in fnmatch.filter(listed, glob):
                    (folder / "wheels" / name).unlink()
            server.behaviour.lost |= {n for glob in day.lose for n in fnmatch.filter(listed, glob)}
            ran = run(project, "release", "--json")
            assert ran.crash == ""
            assert ran.error is None, str(ran.error)
            assert ran.exit_code == 0, ran
    _hold_to(future, project)


def _hold_to(future: Future, project: Project) -> None:
    lock = lock_of(project)
    assert {cell.name: _served(cell) for cell in lock.cells} == future.served
    held = _held(lock)
    for start in future.held:
        assert any(row.startswith(start) for row in held), held
    assert len({row.partition(":")[0] for row in held}) == len(future.held), held
    shown = run(project, "matrix")
    assert shown.exit_code == 0, shown
    text = " ".join(shown.output.split())
    for row in (*future.said, *(re.escape(start.partition(":")[0]) for start in future.held)):
        assert re.search(row, text), text
    for glob, patterns in future.rendered.items():
        (path,) = (project.root / "recipes").glob(glob)
        for pattern in patterns:
            assert re.search(pattern, path.read_text(encoding="utf-8")), path


def _served(cell: Cell) -> dict[str, str]:
    return {**cell.versions, "pythons": " ".join(map(str, cell.pythons()))}


def _held(lock: Lock) -> list[str]:
    rows = [row for cell in lock.cells for row in cell.held]
    return [str(row) for row in (*rows, *lock.held)]
