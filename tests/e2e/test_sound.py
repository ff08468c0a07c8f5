"""Sound on the CPU cell: torchaudio reads and writes files by the base channel's torchcodec.

PyPI has no torchcodec for a CPU on linux-aarch64, and conda-forge's cannot be reached here. So it
is made as conda-forge makes it: the C++ of torchcodec 0.10.0, which its wheel for macOS has, is
compiled against our libtorch and FFmpeg 7.1, whose headers are Debian's and libraries PyAV's.
"""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from generator.testing import create, solve
from generator.testing.runner import clean_environment
from tests.conftest import made_once
from tests.cross import CrossTools
from tests.forge import debian
from tests.forge.archive import Package
from tests.forge.channel import default_cache, write_channel
from tests.installing import pip

pytestmark = [pytest.mark.e2e, pytest.mark.emulated, pytest.mark.prove]

FFMPEG = ("avutil", "swresample", "swscale", "avcodec", "avformat", "avfilter", "avdevice")
#: of torchcodec/_core/CMakeLists.txt, without CUDA
CORE = (
    *("AVIOContextHolder", "AVIOTensorContext", "FFMPEGCommon", "FilterGraph", "Frame"),
    *("DeviceInterface", "CpuDeviceInterface", "SingleStreamDecoder", "Encoder"),
    *("ValidationUtils", "Transform", "Metadata"),
)
OPS = ("AVIOTensorContext", "custom_ops")
PYBIND = ("AVIOFileLikeContext", "pybind_ops")
PROGRAM = Path(__file__).with_name("programs") / "sound.py"


def wheel(name: str, platform: str, folder: Path) -> Path:
    """Fetch a wheel for Python 3.11 and unpack it."""
    into = folder / name.partition("=")[0]
    asked = ["--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--platform", platform]
    pip("python", "download", "--quiet", *asked, "--dest", str(into), name)
    (path,) = into.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(into / "tree")
    return into / "tree"


def ffmpeg(folder: Path) -> Package:
    """FFmpeg out of PyAV's wheel, each library under the name that others ask for as well."""
    unpacked = wheel("av==14.2.0", "manylinux_2_17_aarch64", folder)
    tree = folder / "ffmpeg"
    tree.mkdir()
    libraries = (unpacked / "av.libs").rename(tree / "lib")
    for path in sorted(libraries.iterdir()):
        plain = re.sub(r"-[0-9a-f]{8}(\.so\.\d+).*", r"\1", path.name)
        if plain.removeprefix("lib").partition(".")[0] in FFMPEG:
            (libraries / plain).symlink_to(path.name)
    return package("ffmpeg", "7.1.0", (), tree)


def torchcodec(prefix: Path, media: Path, gxx: Path, folder: Path) -> Package:
    """torchcodec 0.10.0 for a CPU, with the dependencies that conda-forge's has."""
    source = wheel("torchcodec==0.10.0", "macosx_11_0_arm64", folder)
    for path in [*source.rglob("*.dylib"), *source.rglob("*.so")]:
        path.unlink()
    headers = folder / "headers"
    names = [f"lib{name}-dev" for name in FFMPEG]
    for deb in debian.fetch({"trixie": names}, default_cache()).values():
        subprocess.run(["cp", "-a", f"{deb.folder}/usr/include/.", str(headers)], check=True)
    site_packages = prefix / "lib/python3.11/site-packages"
    torch = site_packages / "torch/include"
    includes = [source, torch, torch / "torch/csrc/api/include", headers / "aarch64-linux-gnu"]
    includes.append(prefix / "include/python3.11")
    flags = ["-std=c++17", "-O1", "-fPIC", "-w", "-DPYBIND_OPS_MODULE_NAME=core_pybind_ops"]
    flags += [f"-I{path}" for path in includes]

    def compiled(name: str) -> None:
        code = source / f"torchcodec/_core/{name}.cpp"
        run([str(gxx), *flags, "-c", str(code), "-o", str(folder / f"{name}.o")])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compiled, sorted({*CORE, *OPS, *PYBIND})))
    linked = [f"-L{prefix / 'lib'}", "-ltorch", "-ltorch_cpu", "-lc10", "-Wl,--no-as-needed"]
    linked += [str(path) for path in sorted((media / "lib").glob("lib*")) if path.is_symlink()]
    core = source / "torchcodec/libtorchcodec_core7.so"
    for name, parts, more in (
        ("core7", CORE, []),
        ("custom_ops7", OPS, [str(core)]),
        ("pybind_ops7", PYBIND, [str(core)]),
    ):
        library = core.with_name(f"libtorchcodec_{name}.so")
        objects = [str(folder / f"{part}.o") for part in parts]
        soname = f"-Wl,-soname,{library.name}"
        run([str(gxx), "-shared", soname, "-o", str(library), *objects, *more, *linked])
    tree = folder / "torchcodec-package"
    site = tree / "lib/python3.11"
    site.mkdir(parents=True)
    source.rename(site / "site-packages")
    depends = (
        *("python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311", "ffmpeg >=7.1,<8.0a0"),
        *("pytorch * cpu*", "pytorch >=2.10.0,<2.11.0a0", "libtorch >=2.10.0,<2.11.0a0"),
    )
    return package("torchcodec", "0.10.0", depends, tree)


def package(name: str, version: str, depends: tuple[str, ...], tree: Path) -> Package:
    return Package(
        name=name,
        version=version,
        build="cpu_0",
        number=0,
        subdir="linux-aarch64",
        depends=depends,
        constrains=(),
        tree=tree,
    )


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def media(developer, tools: CrossTools, tmp_path_factory) -> str:
    """A channel with what conda-forge has beside our trio."""

    def fill(folder: Path) -> None:
        work = folder / "work"
        (work / "headers").mkdir(parents=True)
        found = ffmpeg(work)
        assert found.tree is not None
        made = torchcodec(developer.prefix, found.tree, tools.gxx, work)
        (folder / "channel").mkdir()
        write_channel([found, made], folder / "channel", jobs=2)

    return (made_once(tmp_path_factory, "media", fill) / "channel").as_uri()


@pytest.mark.timeout(3600)
def test_a_sound_is_saved_and_loaded(cpu_channel, media, base, machine, runner, tmp_path) -> None:
    records = solve(
        ["python=3.11", "pytorch", "torchvision", "torchaudio", "cpuonly"],
        channels=[cpu_channel.url, media, base.url],
        machine=machine,
    )
    there = {record.name.normalized: record for record in records}
    # nobody asked for it: torchaudio brings it where there is one
    assert str(there["torchcodec"].version) == "0.10.0"
    assert str(there["torchaudio-torchcodec"].build) == "with"
    prefix = tmp_path / "prefix"
    create(records, subdir=machine.subdir, prefix=prefix, package_cache=tmp_path / "cache")
    done = subprocess.run(
        runner.command([str(prefix / "bin/python"), str(PROGRAM), str(tmp_path / "x.wav")]),
        env=clean_environment(prefix, runner, os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
