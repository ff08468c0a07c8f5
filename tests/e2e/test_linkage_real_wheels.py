"""The readers and the audit on upstream's own binaries; the wheels are the lock's, 2 MB each."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from macholib import mach_o
from macholib.MachO import MachO

from generator.building import fetch
from generator.console import Silent
from generator.datafiles import subdirs
from generator.feedstock import read_feedstock
from generator.inspecting import AuditReport, PackageAudit, Sibling, read_binary
from generator.lock import read_lock
from generator.model import Cell, PythonBuild
from generator.naming import bundled, library_depends, virtual_packages
from generator.project import Project
from generator.upstream.reaching import wheel_locator
from tests import own_feedstock

pytestmark = pytest.mark.e2e
LOCK = read_lock(own_feedstock.LOCK)
PACKAGES = ("torchvision", "torchaudio")
CELLS = [
    cell
    for cell in LOCK.cells
    if str(cell.accelerator) == "cpu"
    and (cell.line, cell.subdir)
    in {("2.10", "linux-aarch64"), ("2.15", "osx-arm64"), ("legacy-2.8", "linux-aarch64")}
]


def python_of(cell: Cell) -> PythonBuild:
    return PythonBuild.parse("3.9") if cell.line == "legacy-2.8" else PythonBuild.parse("3.12")


@pytest.fixture(scope="module")
def wheels() -> dict[tuple[str, str], Path]:
    """Fetch the wheels of every cell; the keys are cell and project."""
    wanted = {
        (cell.name, project): wheel
        for cell in CELLS
        for project in PACKAGES
        if (wheel := cell.wheel(project, python_of(cell))) is not None
    }
    project = Project(feedstock=own_feedstock.DECLARED, narrator=Silent())
    with wheel_locator(project, read_feedstock(project.feedstock)) as locate:
        paths = fetch(
            wanted.values(), locate=locate, root=project.wheelhouse, narrator=Silent(), jobs=2
        )
    return {key: paths[wheel.sha256] for key, wheel in wanted.items()}


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, archive.read(info)


def opener(content: bytes) -> AbstractContextManager[BinaryIO]:
    return io.BytesIO(content)


def test_the_readers_agree_with_pyelftools_and_macholib(
    wheels: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    seen = {"elf": 0, "macho": 0}
    for path in wheels.values():
        for name, content in members(path):
            for found in read_binary(io.BytesIO(content), len(content), name):
                seen[found.format] += 1
                needs = [load.name for load in found.needs]
                if found.format == "elf":
                    assert needs == _needed(content), name
                else:
                    (tmp_path / "x").write_bytes(content)
                    assert (found.name, needs) == _loads(tmp_path / "x"), name
    assert seen["elf"] >= 20
    assert seen["macho"] >= 10


def _needed(content: bytes) -> list[str]:
    tags: list[Any] = [
        tag
        for segment in ELFFile(io.BytesIO(content)).iter_segments()
        if isinstance(segment, DynamicSegment)
        for tag in segment.iter_tags()
    ]
    return [tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"]


def _loads(path: Path) -> tuple[str | None, list[str]]:
    name, loads = None, []
    for load, _, text in MachO(str(path)).headers[0].commands:
        if load.cmd == mach_o.LC_ID_DYLIB:
            name = text.rstrip(b"\0").decode()
        elif load.cmd in {mach_o.LC_LOAD_DYLIB, mach_o.LC_LOAD_WEAK_DYLIB}:
            loads.append(text.rstrip(b"\0").decode())
    return name, loads


def audit(
    cell: Cell, project: str, wheel: Path, *, without: str = "", swap: bytes | None = None
) -> AuditReport:
    """Lay the wheel out as decision D3 says and audit it.

    ``without`` leaves a dependency out, ``swap`` takes the place of the first library that stays.
    """
    python, subdir = python_of(cell), subdirs()[cell.subdir]
    version = cell.trio[project]  # type: ignore[index]
    found = PackageAudit(project, subdir=subdir, python=python)
    site = f"lib/python{python}/site-packages"
    copies = bundled(cell.bundled[project], cell.subdir, version, cell.accelerator)
    by_member = {copy.member: copy for copy in copies}
    for member, content in members(wheel):
        copy = by_member.get(member)
        if copy is not None and copy.action == "unvendor":
            folder = posixpath.dirname(f"{site}/{member}")
            target = posixpath.relpath(copy.library.target, folder)
            found.link(f"site-packages/{member}", target)
        elif copy is None or copy.action != "drop":
            if swap is not None and member.endswith(".so"):
                content, swap = swap, None  # noqa: PLW2901
            found.file(f"site-packages/{member}", len(content), partial(opener, content))
    platforms = cell.wheel(project, python).platforms  # type: ignore[union-attr]
    depends = [
        *(
            row.spec
            for row in library_depends(
                project,
                version=version,
                subdir=cell.subdir,
                accelerator=cell.accelerator,
                copies=copies,
            )
        ),
        *virtual_packages(platforms, subdir=subdir, accelerator=cell.accelerator),
        "libtorch",
    ]
    suffix = "dylib" if cell.subdir == "osx-arm64" else "so"
    names = {*cell.libraries, f"libtorch_python.{suffix}"}
    return found.finish(
        [spec for spec in depends if spec.split()[0] != without],
        siblings=[Sibling.named("libtorch", names)],
    )


@pytest.mark.parametrize("project", PACKAGES)
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_unbundled_packages_pass_and_every_acceptance_is_shown(
    wheels: dict[tuple[str, str], Path], cell: Cell, project: str
) -> None:
    report = audit(cell, project, wheels[cell.name, project])
    assert [str(error) for error in report.errors] == []
    assert report.binaries
    assert {note.rule.id for note in report.notes if not note.accepted} <= {"L-007", "L-013"}
    assert any(note.accepted for note in report.notes)


def test_what_is_wrong_with_a_real_package_is_named(wheels: dict[tuple[str, str], Path]) -> None:
    linux = next(cell for cell in CELLS if cell.line == "2.10")
    mac = next(cell for cell in CELLS if cell.subdir == "osx-arm64")
    wheel = wheels[linux.name, "torchvision"]
    foreign = next(
        content
        for name, content in members(wheels[mac.name, "torchvision"])
        if name.endswith(".so")
    )
    swapped = audit(linux, "torchvision", wheel, swap=foreign)
    assert [error.rule.id for error in swapped.errors] == ["L-001"]
    assert swapped.errors[0].what == "it is for arm64, not aarch64"
    undeclared = audit(linux, "torchvision", wheel, without="libpng")
    assert {error.rule.id for error in undeclared.errors} == {"L-004"}
    assert all("libpng" in error.what for error in undeclared.errors)
    alone = audit(linux, "torchvision", wheel, without="libtorch")
    assert {error.what for error in alone.errors} >= {"libtorch provides libtorch_cpu.so"}
