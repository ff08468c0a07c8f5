"""The PE reader on upstream's own DLLs: pip's win_arm64 wheels, since torch has none on PyPI."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pefile
import pytest

from generator.datafiles import subdirs
from generator.inspecting import PackageAudit, read_binary
from generator.model import PythonBuild
from tests.installing import pip

pytestmark = pytest.mark.e2e
#: exact: what was looked at is what is compared
PROJECTS = ("numpy==2.5.5", "pillow==13.0.0", "psutil==7.2.2")
TABLES = [
    pefile.DIRECTORY_ENTRY[f"IMAGE_DIRECTORY_ENTRY_{name}"]
    for name in ("IMPORT", "DELAY_IMPORT", "EXPORT")
]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("wheels")
    wanted = ["--platform", "win_arm64", "--python-version", "3.12", "--only-binary", ":all:"]
    # every version is exact here: a machine's constraints could only contradict them
    environment = {**os.environ, "PIP_CONSTRAINT": os.devnull}
    command = ["download", "-q", "--no-deps", *wanted, "-d", str(folder), *PROJECTS]
    pip(sys.executable, *command, environment=environment)
    return sorted(folder.glob("*.whl"))


def binaries(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith((".dll", ".pyd", ".exe")):
                yield name, archive.read(name)


def test_the_reader_agrees_with_pefile(wheels: list[Path]) -> None:
    assert len(wheels) == len(PROJECTS)
    seen = 0
    for wheel in wheels:
        for name, content in binaries(wheel):
            (found,) = read_binary(io.BytesIO(content), len(content), name)
            image = pefile.PE(data=content, fast_load=True)
            image.parse_data_directories(TABLES)
            rows = [
                *getattr(image, "DIRECTORY_ENTRY_IMPORT", ()),
                *getattr(image, "DIRECTORY_ENTRY_DELAY_IMPORT", ()),
            ]
            assert [load.name for load in found.needs] == [row.dll.decode() for row in rows], name
            exports = getattr(image, "DIRECTORY_ENTRY_EXPORT", None)
            assert found.name == (exports.name.decode() if exports else None), name
            assert found.machine == "arm64", name
            assert found.executable != image.is_dll(), name
            seen += 1
    assert seen >= 25


def test_what_real_extension_modules_import_is_on_the_map(wheels: list[Path]) -> None:
    """Everything but numpy's own bundled libraries: Windows, python, the VC runtime."""
    for wheel in wheels:
        audit = PackageAudit("numpy", subdir=subdirs()["win-arm64"], python=PythonBuild(3, 12))
        for name, content in binaries(wheel):
            audit.file(f"site-packages/{name}", len(content), partial(io.BytesIO, content))
        report = audit.finish(["vc14_runtime >=14.42"])
        assert {error.rule.id for error in report.errors} <= {"L-005"}, wheel.name
        # numpy adds numpy.libs to the search path itself, which the resolver cannot know
        assert all("numpy.libs" in error.what for error in report.errors), wheel.name
        assert any(provider.package == "vc14_runtime" for provider in report.providers), wheel.name
