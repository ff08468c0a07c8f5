"""torchaudio from its real wheel: built twice in two folders, by other numbers of workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.building.archive import read_info
from generator.channel import LocalChannel
from generator.matrix import Selection, select, variants
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants
from tests import own_feedstock

pytestmark = pytest.mark.e2e
GLOBS = ("2.10/torchaudio/*python3.12*", "2.10/torchaudio/*python3.11*")


def checkout(folder: Path) -> Project:
    folder.mkdir(parents=True)
    return own_feedstock.write(folder)


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
            assert str(tmp_path).encode() not in file, name
    assert sums[0] == sums[1]
