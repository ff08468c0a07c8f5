"""Sound and pictures on the CPU cell: torchaudio goes through the base channel's torchcodec."""

from __future__ import annotations

import os
import subprocess

import pytest

from generator.testing import create, solve
from generator.testing.runner import clean_environment
from tests import forge
from tests.e2e.conftest import PROGRAMS, lend_bytecode
from tests.mapped import copies, parse
from tests.media import FFMPEG_7, FFMPEG_8, ensure_media

pytestmark = [pytest.mark.e2e, pytest.mark.emulated]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "ffmpeg",
    [FFMPEG_7, pytest.param(FFMPEG_8, marks=pytest.mark.prove)],
    ids=lambda ffmpeg: f"FFmpeg {ffmpeg.major}",
)
def test_sound_and_pictures_are_written_and_read(
    cpu_channel, base, machine, runner, developer, tools, tmp_path, ffmpeg
) -> None:
    try:
        media = ensure_media(developer.prefix, tools.gxx, ffmpeg)
    except OSError as error:
        if ffmpeg.suite:
            raise
        pytest.skip(f"Debian has no FFmpeg {ffmpeg.major} any more: {error}")
    records = solve(
        ["python=3.11", "pytorch", "torchvision", "torchaudio", "cpuonly"],
        # with a Pillow that uses the environment's libraries, as conda-forge's does
        channels=[cpu_channel.url, media, forge.ensure_compiled(tools.gcc).url, base.url],
        machine=machine,
    )
    there = {record.name.normalized: record for record in records}
    # nobody asked for it: torchaudio brings it where there is one
    assert str(there["torchcodec"].version) == "0.10.0"
    assert str(there["torchaudio-torchcodec"].build).startswith("with_")
    assert str(there["ffmpeg"].version) == ffmpeg.version
    prefix = tmp_path / "prefix"
    create(records, subdir=machine.subdir, prefix=prefix, package_cache=tmp_path / "cache")
    lend_bytecode(developer.prefix, prefix)
    done = subprocess.run(
        runner.command([str(prefix / "bin/python"), str(PROGRAMS / "media.py"), str(tmp_path)]),
        env=clean_environment(prefix, runner, os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    files = parse(done.stdout)
    assert f"libtorchcodec_core{ffmpeg.major}.so" in {file.path.name for file in files}
    for family in ("libjpeg", "libpng"):
        assert [path.parent for path in copies(files)[family]] == [prefix.resolve() / "lib"]
