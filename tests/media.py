"""Channels as conda-forge has them: torchcodec for a CPU, FFmpeg, libraries for pictures.

PyPI has no torchcodec for a CPU on linux-aarch64, and conda-forge's cannot be reached here. So the
C++ of torchcodec 0.10.0, which its wheel for macOS has, is compiled against our libtorch and an
FFmpeg, whose headers are Debian's and libraries PyAV's. What is made is kept between runs.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from filelock import FileLock

from generator.compiling.apt import mirrors
from generator.naming.mangling import without_hash
from tests.forge import debian, elf
from tests.forge.archive import Package
from tests.forge.channel import default_cache, write_channel
from tests.installing import pip

_NAMES = ("avutil", "swresample", "swscale", "avcodec", "avformat", "avfilter", "avdevice")
#: library -> its sources (torchcodec/_core/CMakeLists.txt, without CUDA), each compiled as one text
_PARTS = {
    "core": (
        *("AVIOContextHolder", "AVIOTensorContext", "FFMPEGCommon", "FilterGraph", "Frame"),
        *("DeviceInterface", "CpuDeviceInterface", "SingleStreamDecoder", "Encoder"),
        *("ValidationUtils", "Transform", "Metadata"),
    ),
    "custom_ops": ("AVIOTensorContext", "custom_ops"),
    "pybind_ops": ("AVIOFileLikeContext", "pybind_ops"),
}


@dataclass(frozen=True)
class FFmpeg:
    """One FFmpeg: the libraries of PyAV's wheel, and where Debian has headers that go with them."""

    version: str
    #: of PyAV
    wheel: str
    platform: str
    #: with packages of headers, which are those of the FFmpeg that the suite is built with
    suite: str = ""
    #: else the source, which Debian has as long as a package of its unstable suite is made of it
    source: str = ""
    sha256: str = ""

    @property
    def major(self) -> str:
        return self.version.partition(".")[0]

    def headers(self, folder: Path) -> None:
        """Put its headers into a folder; raises OSError where Debian has them no more."""
        cache = default_cache()
        if self.suite:
            names = [f"lib{name}-dev" for name in _NAMES]
            for deb in debian.fetch({self.suite: names}, cache).values():
                found = f"{deb.folder}/usr/include/aarch64-linux-gnu/."
                _run(["cp", "-a", found, str(folder)])
            return
        archive = folder / "source.tar.xz"
        archive.write_bytes(_from_debian(f"pool/main/f/ffmpeg/{self.source}", self.sha256))
        _run(["tar", "-xf", str(archive), "-C", str(folder), "--strip-components=1"])
        # what its configure writes for a 64-bit ARM
        text = "#define AV_HAVE_BIGENDIAN 0\n#define AV_HAVE_FAST_UNALIGNED 1\n"
        (folder / "libavutil/avconfig.h").write_text(text)


#: Debian's stable one, and the one that conda-forge builds with
FFMPEG_7 = FFmpeg("7.1.0", "av==14.2.0", "manylinux_2_17_aarch64", suite="trixie")
FFMPEG_8 = FFmpeg(
    "8.1.0",
    "av==17.1.0",
    "manylinux_2_28_aarch64",
    source="ffmpeg_8.1.2.orig.tar.xz",
    sha256="464beb5e7bf0c311e68b45ae2f04e9cc2af88851abb4082231742a74d97b524c",
)


def ensure_ffmpeg(ffmpeg: FFmpeg) -> str:
    """Return the address of a channel that has this FFmpeg alone."""
    return kept(f"ffmpeg-{ffmpeg.major}", Path(__file__), lambda work: [_ffmpeg(ffmpeg, work)])


def ensure_images() -> str:
    """Return the address of a channel with the image libraries that torchcodec 0.17 asks for."""
    return kept("images", Path(__file__), _images)


def ensure_media(prefix: Path, gxx: Path, ffmpeg: FFmpeg) -> str:
    """Return the channel's address; it is made for the torch and the Python 3.11 of a prefix.

    Raises:
        OSError: Debian has the headers no more.

    """

    def make(work: Path) -> list[Package]:
        headers = work / "headers"
        headers.mkdir()
        ffmpeg.headers(headers)
        media = _ffmpeg(ffmpeg, work)
        return [media, _torchcodec(prefix, ffmpeg, media, gxx, work)]

    return kept(f"media-{ffmpeg.major}", Path(__file__), make)


def kept(name: str, maker: Path, make: Callable[[Path], list[Package]]) -> str:
    """Return the address of a channel that is made once for each text of its maker."""
    made_by = hashlib.sha256(maker.read_bytes()).hexdigest()[:16]
    out = default_cache() / f"{name}-{made_by}"
    with FileLock(f"{out}.lock"):
        if not out.is_dir():
            work = out.with_suffix(".part")
            shutil.rmtree(work, ignore_errors=True)
            (work / "channel").mkdir(parents=True)
            write_channel(make(work), work / "channel", jobs=2)
            (work / "channel").rename(out)
            shutil.rmtree(work)
    return out.as_uri()


def _from_debian(path: str, sha256: str) -> bytes:
    """Fetch a file of Debian's archive from this machine's mirrors; OSError where none has it."""
    refused = OSError("no mirror")
    for mirror in mirrors():
        try:
            with urlopen(f"{mirror.rstrip('/')}/{path}") as answer:
                content = bytes(answer.read())
        except OSError as error:
            refused = error
        else:
            assert hashlib.sha256(content).hexdigest() == sha256, path
            return content
    raise refused


def _wheel(name: str, platform: str, folder: Path) -> Path:
    """Fetch a wheel for Python 3.11 and unpack it."""
    into = folder / name.partition("=")[0]
    asked = ["--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--platform", platform]
    pip("python", "download", "--quiet", *asked, "--dest", str(into), name)
    (path,) = into.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(into / "tree")
    return into / "tree"


def _ffmpeg(ffmpeg: FFmpeg, folder: Path) -> Package:
    """FFmpeg out of PyAV's wheel, each library under the name that others ask for as well."""
    unpacked = _wheel(ffmpeg.wheel, ffmpeg.platform, folder)
    tree = folder / "ffmpeg"
    tree.mkdir()
    libraries = (unpacked / "av.libs").rename(tree / "lib")
    for path in sorted(libraries.iterdir()):
        plain = re.sub(r"-[0-9a-f]{8}(\.so\.\d+).*", r"\1", path.name)
        if plain.removeprefix("lib").partition(".")[0] in _NAMES:
            (libraries / plain).symlink_to(path.name)
    return _package("ffmpeg", ffmpeg.version, (), tree)


def _images(folder: Path) -> list[Package]:
    """What a base channel has and the forge lacks, out of torchcodec's own wheel."""
    unpacked = _wheel("torchcodec==0.17.0", "manylinux_2_28_aarch64", folder)
    packages = {
        ("libavif16", "1.4.2"): ("avif",),
        # 1.6.0, with one library more than the forge's
        ("libwebp-base", "1.6.1"): ("webp", "webpdemux", "sharpyuv"),
    }
    made = []
    for (package, version), names in packages.items():
        tree = folder / package
        (tree / "lib").mkdir(parents=True)
        for path in (found for n in names for found in unpacked.glob(f"*.libs/lib{n}-*")):
            placed = path.rename(tree / "lib" / without_hash(path.name))
            elf.adopt(placed, tree)
            plain = re.sub(r"(\.so\.\d+).*", r"\1", placed.name)
            placed.with_name(plain).symlink_to(placed.name)
        made.append(_package(package, version, (), tree))
    return made


def _torchcodec(prefix: Path, ffmpeg: FFmpeg, media: Package, gxx: Path, folder: Path) -> Package:
    """torchcodec 0.10.0 for a CPU, with the dependencies that conda-forge's has."""
    source = _wheel("torchcodec==0.10.0", "macosx_11_0_arm64", folder)
    for path in [*source.rglob("*.dylib"), *source.rglob("*.so")]:
        path.unlink()
    torch = prefix / "lib/python3.11/site-packages/torch/include"
    includes = [source, torch, torch / "torch/csrc/api/include", folder / "headers"]
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
    core = source / f"torchcodec/libtorchcodec_core{ffmpeg.major}.so"
    for name in _PARTS:
        library = core.with_name(f"libtorchcodec_{name}{ffmpeg.major}.so")
        more = [str(core)] if library != core else []
        soname = f"-Wl,-soname,{library.name}"
        command = [str(gxx), "-shared", soname, "-o", str(library), f"{folder / name}.o"]
        _run([*command, *more, *linked])
    tree = folder / "torchcodec-package"
    site = tree / "lib/python3.11"
    site.mkdir(parents=True)
    source.rename(site / "site-packages")
    minor, following = ffmpeg.version.rpartition(".")[0], int(ffmpeg.major) + 1
    depends = (
        *("python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311"),
        f"ffmpeg >={minor},<{following}.0a0",
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
