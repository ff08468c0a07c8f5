"""A lock that was lost takes its build numbers from what was published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.errors import UnreachableError
from generator.project import Project
from generator.stages.update import update_lock
from tests.integration.index_worlds import World, trio, world

pytestmark = pytest.mark.integration

FEEDSTOCK = """\
indexes:
  here: {kind: simple, url: "{root}/simple"}
trains:
  stable: {keep: [newest], indexes: [here]}
subdirs:
  linux-aarch64: {accelerators: [cpu]}
destinations:
  served: {to: DESTINATION}
"""


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        found.put("pypi", *trio("2.10.0", "0.25.0", "2.10.0"))
        yield found


def publish(folder: Path, name: str, version: str, number: int, build: str) -> None:
    """Write a channel that has one package."""
    row = {"name": name, "version": version, "build": build, "build_number": number}
    row |= {"subdir": "linux-aarch64", "depends": [], "size": 1, "sha256": "0" * 64}
    index = {"packages.conda": {f"{name}-{version}-{build}.conda": row}}
    (folder / "linux-aarch64").mkdir(parents=True)
    (folder / f"linux-aarch64/{name}-{version}-{build}.conda").write_bytes(b"1")
    (folder / "linux-aarch64/repodata.json").write_text(json.dumps(index))


def numbers(project: Project) -> dict[str, int]:
    return {name: row.number for name, row in update_lock(project).lock.builds.items()}


def test_numbers_come_from_the_channel_where_the_lock_has_none(
    upstream: World, tmp_path: Path
) -> None:
    served = tmp_path / "served"
    project = upstream.project(FEEDSTOCK.replace("DESTINATION", str(served)))
    first = numbers(project)
    assert set(first.values()) == {0}
    publish(served, "pytorch", "2.10.0", 3, "cpu_generic_py312_h0_3")
    publish(project.root / "channel", "libtorch", "2.10.0", 1, "cpu_generic_h0_1")
    # a lock that is there knows its numbers
    assert numbers(project) == first
    project.lock.unlink()
    assert numbers(project) == {**first, "2.10/pytorch": 4, "2.10/libtorch": 2}


def test_another_release_or_accelerator_has_numbers_of_its_own(
    upstream: World, tmp_path: Path
) -> None:
    project = upstream.project(FEEDSTOCK.replace("DESTINATION", str(tmp_path / "served")))
    publish(tmp_path / "served", "pytorch", "2.10.0", 205, "cuda130_generic_py312_h0_205")
    publish(project.root / "channel", "libtorch", "2.9.1", 4, "cpu_generic_h0_4")
    assert set(numbers(project).values()) == {0}


def test_a_channel_that_does_not_say_ends_the_run(upstream: World) -> None:
    away = "quetz+http://127.0.0.1:9/mine"
    project = upstream.project(FEEDSTOCK.replace("DESTINATION", away))
    with pytest.raises(UnreachableError):
        update_lock(project)
    assert not project.lock.exists()
