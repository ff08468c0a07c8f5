"""Sound and pictures on the CPU cell: torchaudio goes through the base channel's torchcodec."""

from __future__ import annotations

import os
import subprocess

import pytest

from generator.testing import create, solve
from generator.testing.runner import clean_environment
from tests.e2e.conftest import PROGRAMS
from tests.media import ensure_media

pytestmark = [pytest.mark.e2e, pytest.mark.emulated]


@pytest.mark.timeout(3600)
def test_sound_and_pictures_are_written_and_read(
    cpu_channel, base, machine, runner, developer, tools, tmp_path
) -> None:
    records = solve(
        ["python=3.11", "pytorch", "torchvision", "torchaudio", "cpuonly"],
        channels=[cpu_channel.url, ensure_media(developer.prefix, tools.gxx), base.url],
        machine=machine,
    )
    there = {record.name.normalized: record for record in records}
    # nobody asked for it: torchaudio brings it where there is one
    assert str(there["torchcodec"].version) == "0.10.0"
    assert str(there["torchaudio-torchcodec"].build).startswith("with_")
    prefix = tmp_path / "prefix"
    create(records, subdir=machine.subdir, prefix=prefix, package_cache=tmp_path / "cache")
    done = subprocess.run(
        runner.command([str(prefix / "bin/python"), str(PROGRAMS / "media.py"), str(tmp_path)]),
        env=clean_environment(prefix, runner, os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
