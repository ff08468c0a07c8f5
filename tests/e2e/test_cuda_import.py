"""The CUDA trio on real CUDA libraries, emulated, without a GPU: gigabytes, so only --large."""

from __future__ import annotations

import os
import subprocess
from collections import Counter

import pytest

from generator.channel import LocalChannel
from generator.console import Silent
from generator.datafiles import subdirs
from generator.matrix import variants
from generator.packages import known_as
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock
from generator.testing import Machine, create, solve
from generator.testing.runner import clean_environment
from tests import forge
from tests.conftest import ARM
from tests.e2e.conftest import PROGRAMS
from tests.mapped import copies, parse
from tests.media import FFMPEG_8, ensure_ffmpeg, ensure_images

pytestmark = [pytest.mark.e2e, pytest.mark.emulated, pytest.mark.large, pytest.mark.timeout(3600)]

FEEDSTOCK = """\
channel: cuda
maintainers: [someone]
carry_armtorch: false
indexes: {pypi: {kind: pip}}
trains: {stable: {keep: [], indexes: [pypi]}}
subdirs: {linux-aarch64: {accelerators: [cuda]}}
lines:
- {name: one, torch: ==2.14.1, subdirs: [linux-aarch64], accelerators: [cuda], pythons: ["3.11"]}
companions: [torchcodec]
"""
#: libraries of the base channel that torch maps without a GPU
MAPPED = (
    "libcublas.so.13", "libcublasLt.so.13", "libcudart.so.13", "libcudnn.so.9", "libcufft.so.12",
    "libcufile.so.0", "libcupti.so.13", "libcurand.so.10", "libcusparse.so.12",
    "libcusparseLt.so.0", "libnccl.so.2", "libnvJitLink.so.13", "libnvjpeg.so.13",
    "libnvpl_blas_core.so.0", "libnvpl_blas_lp64_gomp.so.0", "libnvpl_lapack_core.so.0",
    "libnvpl_lapack_lp64_gomp.so.0", "libnvrtc.so.13", "libnvshmem_host.so.3",
)  # fmt: skip


@pytest.fixture(scope="module")
def prefix(runner, tools, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cuda")
    (folder / "feedstock.yaml").write_text(FEEDSTOCK)
    project = Project(feedstock=folder / "feedstock.yaml", narrator=Silent())
    update_lock(project)
    render_feedstock(project)
    channel = LocalChannel(folder / "channel")
    # triton comes with the base channel here
    chosen = variants(project.declared(), project.locked())
    options = BuildOptions(channel=channel, jobs=1, level=1)
    build_variants(project, chosen, options).raise_for_failures()
    virtual = [f"__glibc={forge.glibc_version(forge.sysroot())}", "__cuda=13.0"]
    # a Pillow that uses the environment's libraries, as conda-forge's does
    pillow = forge.ensure_compiled(tools.gcc).url
    others = (ensure_images(), ensure_ffmpeg(FFMPEG_8), pillow, forge.ensure_with_cuda().url)
    records = solve(
        ["python=3.11", "pytorch", "torchvision", "torchaudio", "pip"],
        channels=[channel.url, *others],
        machine=Machine.of(subdirs()[ARM], native=False, added=virtual),
    )
    # torchaudio brings it
    assert "torchcodec" in {known_as(record.name.normalized) for record in records}
    return create(
        records, prefix=folder / "prefix", subdir=ARM, package_cache=folder / "cache"
    ).prefix.resolve()


def run(prefix, runner, *arguments):
    done = subprocess.run(
        runner.command([str(prefix / "bin/python"), *map(str, arguments)]),
        env=clean_environment(prefix, runner, os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_trio_is_imported_and_finds_no_gpu(prefix, runner):
    files = parse(run(prefix, runner, PROGRAMS / "cuda_without_gpu.py"))
    names = Counter(file.path.name for file in files)
    assert {name: names[name] for name in MAPPED} == dict.fromkeys(MAPPED, 1)
    for file in files:
        if file.path.name in MAPPED:
            assert file.path.parent == prefix / "lib", file
    # neither the second CUDA runtime nor the nvjpeg that torchvision's wheel brings
    assert [name for name in names if name.startswith("libcudart")] == ["libcudart.so.13"]
    assert len(copies(files)["OpenMP runtime"]) == 1


def test_sound_and_pictures_are_written_and_read(prefix, runner, tmp_path):
    """torchcodec's own binaries on the CPU, with FFmpeg 8 and the libraries of torchvision."""
    said = run(prefix, runner, PROGRAMS / "media.py", tmp_path)
    files = parse(said)
    names = {file.path.name for file in files}
    assert {"libtorchcodec_core8.so", "libtorchcodec_image.so"} <= names
    found = copies(files)
    for family in ("libjpeg", "libpng", "libz"):
        assert [path.parent for path in found[family]] == [prefix / "lib"], found[family]
    # beside the one of the environment there is what PyAV's FFmpeg brings here
    for family in ("libwebp", "libsharpyuv"):
        (own,) = (path for path in found[family] if "-" not in path.name)
        assert own.parent == prefix / "lib"


def test_pip_finds_nothing_missing(prefix, runner):
    assert "No broken requirements" in run(prefix, runner, "-m", "pip", "check")
