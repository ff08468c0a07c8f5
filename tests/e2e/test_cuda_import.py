"""The CUDA trio on real CUDA libraries, emulated, without a GPU: gigabytes, so only --large."""

from __future__ import annotations

import os
import subprocess
from collections import Counter

import pytest

from generator.channel import LocalChannel
from generator.datafiles import subdirs
from generator.matrix import METAPACKAGES, Selection, select, variants
from generator.model import Pythons
from generator.stages.build import BuildOptions, build_variants
from generator.testing import Machine, create, solve
from generator.testing.runner import clean_environment
from tests import forge
from tests.conftest import ARM
from tests.e2e.conftest import PROGRAMS
from tests.mapped import copies, parse

pytestmark = [pytest.mark.e2e, pytest.mark.emulated, pytest.mark.large, pytest.mark.timeout(3600)]

PACKAGES = (
    "libtorch", "pytorch-common", "pytorch", "torchvision", "torchaudio", "pytorch-gpu",
    "pytorch-mutex",
)  # fmt: skip
#: libraries of the base channel that torch maps without a GPU
MAPPED = (
    "libcublas.so.13", "libcublasLt.so.13", "libcudart.so.13", "libcudnn.so.9", "libcufft.so.12",
    "libcufile.so.0", "libcupti.so.13", "libcurand.so.10", "libcusparse.so.12",
    "libcusparseLt.so.0", "libnccl.so.2", "libnvJitLink.so.13", "libnvjpeg.so.13",
    "libnvpl_blas_core.so.0", "libnvpl_blas_lp64_gomp.so.0", "libnvpl_lapack_core.so.0",
    "libnvpl_lapack_lp64_gomp.so.0", "libnvrtc.so.13", "libnvshmem_host.so.3",
)  # fmt: skip


@pytest.fixture(scope="module")
def prefix(project, runner, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cuda")
    wanted = Selection(
        lines=("2.14", METAPACKAGES),
        # triton comes with the base channel here
        packages=PACKAGES,
        subdirs=(ARM,),
        accelerators=("cuda130",),
        pythons=Pythons.parse(["3.11"]),
    )
    channel = LocalChannel(folder / "channel")
    chosen = select(variants(project.declared(), project.locked()), wanted)
    options = BuildOptions(channel=channel, jobs=1, level=1)
    build_variants(project, chosen, options).raise_for_failures()
    virtual = [f"__glibc={forge.glibc_version(forge.sysroot())}", "__cuda=13.0"]
    records = solve(
        ["python=3.11", "pytorch", "torchvision", "torchaudio", "pip"],
        channels=[channel.url, forge.ensure_with_cuda().url],
        machine=Machine.of(subdirs()[ARM], native=False, added=virtual),
    )
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


def test_pip_finds_nothing_missing(prefix, runner):
    assert "No broken requirements" in run(prefix, runner, "-m", "pip", "check")
