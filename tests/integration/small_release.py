"""A channel of tiny wheels whose first release is published, for macOS and Windows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from generator.channel import LocalChannel
from generator.model import PythonBuild
from tests.conda_files import write_conda
from tests.conftest import made_once
from tests.index_server import IndexServer
from tests.integration.small_base import COMPILED, NOARCH
from tests.replayed_jobs import Done
from tests.replaying import Replay
from tests.synthetic_wheels import Release, TinyWheel

FEEDSTOCK = """\
channel: synthetic
maintainers: [someone]
carry_armtorch: false
repository: https://github.com/me/armtorch
indexes:
  pypi: {{kind: pip}}
trains:
  stable: {{keep: [newest], indexes: [pypi]}}
subdirs:
  osx-arm64: {{accelerators: [cpu], base: ["{base}"]}}
  win-arm64: {{accelerators: [cpu], base: ["{base}"]}}
policies: {{compression_level: 1, published_level: 1}}
"""
OLD, NEW = ("2.10.0", "0.25.0", "2.10.0"), ("2.11.0", "0.26.0", "2.11.0")


def base(folder: Path) -> str:
    """Write a base channel whose packages can be installed, and return its address."""
    noarch = {**NOARCH, "pip": "25.3"}
    for name, version in noarch.items():
        write_conda(folder, name, version, "0", subdir="noarch", installable=True)
    python = PythonBuild.parse("3.12")
    write_conda(folder, "python_abi", "3.12", "8_cp312", subdir="noarch", installable=True)
    tail = python.build_string_glob.removeprefix("*_")
    for subdir in ("osx-arm64", "win-arm64"):
        for name, version in COMPILED[subdir].items():
            write_conda(folder, name, version, "0", subdir=subdir, installable=True)
        write_conda(folder, "python", "3.12.9", f"h1_0_{tail}", subdir=subdir, installable=True)
    LocalChannel(folder).index()
    return folder.as_uri()


def wheels(torch: str, vision: str, audio: str, subdir: str) -> list[TinyWheel]:
    release = Release(subdir=subdir, torch=torch, torchvision=vision, torchaudio=audio)
    return release.wheels(("cp312",))


def put(index: IndexServer, *found: TinyWheel) -> None:
    for wheel in found:
        wheel.write(index.folder)


def environment(index: IndexServer) -> dict[str, str]:
    return {"PIP_INDEX_URL": index.url, "PIP_CONFIG_FILE": "/dev/null"}


def first_release(folder: Path) -> None:
    """Make a repository whose first release is merged and published."""
    with IndexServer(folder / "index") as index:
        for subdir in ("osx-arm64", "win-arm64"):
            put(index, *wheels(*OLD, subdir))
        replay = Replay(folder, environment(index))
        replay.start(FEEDSTOCK.format(base=base(folder / "base")))
        released = replay.job("update", "release")
        assert released.ok, released.said
        replay.merge()
        done = replay.build()
    assert all(each.ok for each in done.values()), every(done)
    there = {"osx-arm64/pytorch-2.10.0", "win-arm64/pytorch-2.10.0"}
    assert published(replay, "pytorch") == there


@contextmanager
def copied(factory: pytest.TempPathFactory, folder: Path) -> Iterator[IndexServer]:
    """Copy it into a folder, with an index of its own."""
    first = made_once(factory, "first release", first_release)
    for name in ("index", "caches", "artifacts", "origin.git", "published"):
        shutil.copytree(first / name, folder / name)
    with IndexServer(folder / "index") as server:
        yield server


def contents(replay: Replay) -> dict[str, bytes]:
    return {
        path.relative_to(replay.channel).as_posix(): path.read_bytes()
        for path in replay.channel.rglob("*.conda")
    }


def published(replay: Replay, name: str) -> set[str]:
    return {
        f"{path.parent.name}/{path.name.rpartition('-')[0]}"
        for path in replay.channel.glob(f"*/{name}-[0-9]*.conda")
    }


def every(done: Mapping[str, Done]) -> str:
    return "\n".join(f"== {name}: {each.ok}\n{each.said}" for name, each in done.items())
