"""A channel with torchcodec for a CPU and its FFmpeg, made as conda-forge makes them.

PyPI has no torchcodec for a CPU on linux-aarch64, and conda-forge's cannot be reached here. So the
C++ of torchcodec 0.10.0, which its wheel for macOS has, is compiled against our libtorch and
FFmpeg 7.1, whose headers are Debian's and libraries PyAV's. What is made is kept between runs.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from tests.forge import debian
from tests.forge.archive import Package
from tests.forge.channel import default_cache, write_channel
from tests.installing import pip

_FFMPEG = ("avutil", "swresample", "swscale", "avcodec", "avformat", "avfilter", "avdevice")
#: library -> its sources (torchcodec/_core/CMakeLists.txt, without CUDA), each compiled as one text
_PARTS = {
    "core7": (
        *("AVIOContextHolder", "AVIOTensorContext", "FFMPEGCommon", "FilterGraph", "Frame"),
        *("DeviceInterface", "CpuDeviceInterface", "SingleStreamDecoder", "Encoder"),
        *("ValidationUtils", "Transform", "Metadata"),
    ),
    "custom_ops7": ("AVIOTensorContext", "custom_ops"),
    "pybind_ops7": ("AVIOFileLikeContext", "pybind_ops"),
}


def ensure_media(prefix: Path, gxx: Path) -> str:
    """Return the channel's address; it is made for the torch and the Python 3.11 of a prefix."""
    made_by = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    out = default_cache() / f"media-{made_by}"
    with FileLock(f"{out}.lock"):
        if not out.is_dir():
            work = out.with_suffix(".part")
            shutil.rmtree(work, ignore_errors=True)
            (work / "channel").mkdir(parents=True)
            media = _ffmpeg(work)
            made = [media, _torchcodec(prefix, media, gxx, work)]
            write_channel(made, work / "channel", jobs=2)
            (work / "channel").rename(out)
            shutil.rmtree(work)
    return out.as_uri()


def _wheel(name: str, platform: str, folder: Path) -> Path:
    """Fetch a wheel for Python 3.11 and unpack it."""
    into = folder / name.partition("=")[0]
    asked = ["--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--platform", platform]
    pip("python", "download", "--quiet", *asked, "--dest", str(into), name)
    (path,) = into.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(into / "tree")
    return into / "tree"


def _ffmpeg(folder: Path) -> Package:
    """FFmpeg out of PyAV's wheel, each library under the name that others ask for as well."""
    unpacked = _wheel("av==14.2.0", "manylinux_2_17_aarch64", folder)
    tree = folder / "ffmpeg"
    tree.mkdir()
    libraries = (unpacked / "av.libs").rename(tree / "lib")
    for path in sorted(libraries.iterdir()):
        plain = re.sub(r"-[0-9a-f]{8}(\.so\.\d+).*", r"\1", path.name)
        if plain.removeprefix("lib").partition(".")[0] in _FFMPEG:
            (libraries / plain).symlink_to(path.name)
    return _package("ffmpeg", "7.1.0", (), tree)


def _torchcodec(prefix: Path, media: Package, gxx: Path, folder: Path) -> Package:
    """torchcodec 0.10.0 for a CPU, with the dependencies that conda-forge's has."""
    source = _wheel("torchcodec==0.10.0", "macosx_11_0_arm64", folder)
    for path in [*source.rglob("*.dylib"), *source.rglob("*.so")]:
        path.unlink()
    headers = folder / "headers"
    headers.mkdir()
    names = [f"lib{name}-dev" for name in _FFMPEG]
    for deb in debian.fetch({"trixie": names}, default_cache()).values():
        subprocess.run(["cp", "-a", f"{deb.folder}/usr/include/.", str(headers)], check=True)
    torch = prefix / "lib/python3.11/site-packages/torch/include"
    includes = [source, torch, torch / "torch/csrc/api/include", headers / "aarch64-linux-gnu"]
    includes.append(prefix / "include/python3.11")
    flags = ["-std=c++17", "-fPIC", "-w", "-DPYBIND_OPS_MODULE_NAME=core_pybind_ops"]
    flags += [f"-I{path}" for path in includes]

    def compiled(name: str) -> None:
        text = "".join(f'#include "torchcodec/_core/{part}.cpp"\n' for part in _PARTS[name])
        (folder / f"{name}.cpp").write_text(text)
        _run([str(gxx), *flags, "-c", f"{folder / name}.cpp", "-o", f"{folder / name}.o"])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compiled, _PARTS))
    assert media.tree is not None
    linked = [f"-L{prefix / 'lib'}", "-ltorch", "-ltorch_cpu", "-lc10", "-Wl,--no-as-needed"]
    linked += [str(path) for path in sorted((media.tree / "lib").glob("lib*")) if path.is_symlink()]
    core = source / "torchcodec/libtorchcodec_core7.so"
    for name in _PARTS:
        library = core.with_name(f"libtorchcodec_{name}.so")
        more = [str(core)] if library != core else []
        soname = f"-Wl,-soname,{library.name}"
        command = [str(gxx), "-shared", soname, "-o", str(library), f"{folder / name}.o"]
        _run([*command, *more, *linked])
    tree = folder / "torchcodec-package"
    site = tree / "lib/python3.11"
    site.mkdir(parents=True)
    source.rename(site / "site-packages")
    depends = (
        *("python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311", "ffmpeg >=7.1,<8.0a0"),
        *("pytorch * cpu*", "pytorch >=2.10.0,<2.11.0a0", "libtorch >=2.10.0,<2.11.0a0"),
    )
    return _package("torchcodec", "0.10.0", depends, tree)


def _package(name: str, version: str, depends: tuple[str, ...], tree: Path) -> Package:
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


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
