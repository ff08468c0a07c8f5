"""torchaudio from its real wheel: built twice in two folders, by other numbers of workers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from generator.building.archive import read_info
from generator.channel import LocalChannel
from generator.console import Silent
from generator.matrix import Selection, select, variants
from generator.stages.packages import BuildOptions, build_variants
from generator.stages.project import Project

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
GLOBS = ("2.10/torchaudio/*python3.12*", "2.10/torchaudio/*python3.11*")


def checkout(folder: Path) -> Project:
    for name in ("feedstock.yaml", "feedstock.lock.yaml"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    for name in ("recipes", ".ci_support"):
        shutil.copytree(ROOT / name, folder / name)
    return Project(feedstock=folder / "feedstock.yaml", narrator=Silent())


def test_two_checkouts_give_the_same_bytes(tmp_path: Path) -> None:
    sums = []
    for place, jobs in (("one", 1), ("two/much deeper, with spaces", 2)):
        project = checkout(tmp_path / place)
        chosen = select(variants(project.declared(), project.locked()), Selection(globs=GLOBS))
        channel = LocalChannel(tmp_path / place / "channel")
        options = BuildOptions(channel=channel, jobs=jobs, level=9)
        report = build_variants(project, chosen, options)
        report.raise_for_failures()
        assert len(report.built) == 2
        sums.append({row.file_name: row.sha256 for row in report.rows})
        again = build_variants(project, chosen, options)
        assert {row.status for row in again.rows} == {"skipped"}
        package = channel.root / "linux-aarch64" / report.rows[0].file_name
        for name, file in read_info(package).items():
            assert str(tmp_path).encode() not in file.content, name
    assert sums[0] == sums[1]
