"""Without any one row of its knowledge armtorch still serves, and says what it holds back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from generator.datafiles import DATA
from generator.model import Lock
from generator.project import Project
from tests.counts import count
from tests.in_process import Ran, lock_of, project_at, run
from tests.index_server import IndexServer
from tests.mutations import Row, classified, content_of, rows, spread
from tests.other_data import copy_data, other_data
from tests.synthetic_wheels import Release, TinyWheel

pytestmark = pytest.mark.integration

FEEDSTOCK = """\
channel: armtorch
maintainers: [someone]
carry_armtorch: false
indexes: {pypi: {kind: pip}}
trains:
  stable: {keep: [newest, newest-complete], indexes: [pypi]}
subdirs:
  linux-aarch64: {accelerators: [cpu, cuda], base: [conda-forge]}
  osx-arm64: {accelerators: [cpu], base: [conda-forge]}
  win-arm64: {accelerators: [cpu], base: [conda-forge]}
fill: [triton]
"""
#: versions that rows of today's data files name: rows that are about nothing cannot be missed
BEFORE = (
    Release(subdir="linux-aarch64", torch="2.9.1", torchvision="0.24.1", torchaudio="2.9.1"),
    Release(
        subdir="linux-aarch64",
        accelerator="cuda130",
        torch="2.14.0",
        torchvision="0.29.0",
        torchaudio="2.11.0",
    ),
    Release(subdir="osx-arm64", torch="2.14.0", torchvision="0.29.0", torchaudio="2.11.0"),
    Release(subdir="win-arm64", torch="2.14.0", torchvision="0.29.0", torchaudio="2.11.0"),
)
TODAY = (
    Release(subdir="linux-aarch64", torch="2.10.0"),
    replace(BEFORE[1], torch="2.14.1", torchvision="0.29.1"),
    replace(BEFORE[2], torch="2.15.0", torchvision="0.29.2"),
    replace(BEFORE[3], torch="2.15.0", torchvision="0.29.2", torchaudio="2.11.1"),
)


@dataclass(frozen=True)
class World:
    """A feedstock with yesterday's lock, and an index that has today's wheels."""

    folder: Path
    url: str
    #: what the lock has after today's release with every row
    whole: Mapping[tuple[str, str], Mapping[str, Mapping[str, str]]]

    def project(self, folder: Path) -> Project:
        """A copy of it; facts of wheels are shared."""
        shutil.copytree(self.folder / "feedstock", folder)
        return project_at(folder, self.url, self.folder / "cache")


def wheels(release: Release) -> list[TinyWheel]:
    """A release's wheels; torchaudio says nothing of torch, as upstream's since 2.11."""
    projects = ["torch", "torchvision", "torchaudio"]
    projects += ["triton"] if release.cuda else []
    made = release.wheels(["cp312"], projects)
    silent = release.torchaudio == "2.11.0" and release.subdir != "win-arm64"
    return [replace(w, requires=()) if silent and w.project == "torchaudio" else w for w in made]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    (folder / "feedstock").mkdir()
    (folder / "feedstock" / "feedstock.yaml").write_text(FEEDSTOCK, encoding="utf-8")
    server = IndexServer(folder / "wheels")
    with server:
        for release in BEFORE:
            for wheel in wheels(release):
                wheel.write(folder / "wheels")
        found = World(folder, server.url, {})
        assert sound(run(project_at(folder / "feedstock", server.url, folder / "cache"), "release"))
        for release in TODAY:
            for wheel in wheels(release):
                wheel.write(folder / "wheels")
        project = found.project(folder / "whole")
        assert sound(run(project, "release"))
        lock = lock_of(project)
        assert {cell.torch for cell in lock.cells} == {"2.10.0", "2.14.1", "2.15.0"}
        assert all(set(cell.trio) == {"torch", "torchvision", "torchaudio"} for cell in lock.cells)
        yield replace(found, whole=served(lock))


def sound(ran: Ran) -> bool:
    """Whether a command ended well; the assertion shows how it ended."""
    assert (ran.exit_code, ran.crash, str(ran.error or "")) == (0, "", ""), ran.output
    return True


def served(lock: Lock) -> dict[tuple[str, str], dict[str, dict[str, str]]]:
    """Place -> cell -> versions and Pythons."""
    found: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for cell in lock.cells:
        kind = "cpu" if str(cell.accelerator) == "cpu" else "cuda"
        pythons = " ".join(map(str, cell.pythons()))
        found.setdefault((cell.subdir, kind), {})[cell.name] = {**cell.versions, "": pythons}
    return found


def test_every_data_file_is_knowledge_or_a_setting() -> None:
    named = {*classified()["knowledge"], *classified()["settings"]}
    assert named == {path.name for path in DATA.glob("*.yaml")}


@pytest.mark.parametrize("row", spread(rows(), count("rows")), ids=lambda row: row.name)
def test_without_a_row_the_rest_is_served(row: Row, world: World, tmp_path: Path) -> None:
    project = world.project(tmp_path / "feedstock")
    data = copy_data(tmp_path / "data", row.without)
    with other_data(data):
        assert sound(run(project, "update", "--dry-run"))
        assert sound(run(project, "release"))
        assert sound(run(project, "matrix"))
    lock = lock_of(project)
    now = served(lock)
    said = {place.partition("/")[2] for place in _said(lock)}
    for place, before in world.whole.items():
        if now.get(place) != before:
            assert row.concerns(place[0]), f"{place} has {now.get(place)}"
            # what every torch of a place needs may be in the row: then all of it is held, and said
            wanted = "/".join(place) if place not in now else place[0]
            assert any(each.startswith(wanted) for each in said), f"{place}: nothing is said"
    assert now, "nothing is served at all"


def _said(lock: Lock) -> list[str]:
    """The places that the lock says something is held back for."""
    cells = [cell.name for cell in lock.cells if cell.held or cell.absent]
    return [*cells, *(str(row.place) for row in lock.held)]


SETTINGS = [
    Row(file, (key,), each)
    for file in classified()["settings"]
    for content in (content_of(file),)
    for key, each in (content.items() if isinstance(content, dict) else enumerate(content))
]


@pytest.mark.parametrize("row", spread(SETTINGS, count("rows")), ids=lambda row: row.name)
def test_without_a_setting_it_is_named(row: Row, world: World, tmp_path: Path) -> None:
    project = world.project(tmp_path / "feedstock")
    data = copy_data(tmp_path / "data", row.without)
    with other_data(data):
        ran = run(project, "release")
    assert ran.crash == ""
    assert ran.exit_code in {0, 3, 4, 5}, ran
    if ran.exit_code == 4:  # the lock has a cell of it
        assert isinstance(row.content, dict)
        assert row.content["name"] in str(ran.error)
    if ran.exit_code == 5:
        assert ran.error is not None
        assert row.file in ran.error.where
