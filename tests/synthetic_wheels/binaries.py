"""Makes the binaries that shapes.yaml lists, in the format of each operating system."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter
from ruamel.yaml import YAML

from tests.synthetic_wheels.elf import AARCH64, ARM, elf
from tests.synthetic_wheels.macho import ARM64, macho
from tests.synthetic_wheels.pe import pe

_HERE = Path(__file__).parent
_ELF_MACHINES = {"aarch64": AARCH64, "arm": ARM}
#: the first glibc that knows the machine's hard-float or 64-bit ABI
_FIRST_GLIBC = {"aarch64": "2.17", "arm": "2.4"}
Os = Literal["linux", "osx", "win"]


class Shape(BaseModel):
    """One binary of shapes.yaml, which explains the words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    needs: tuple[str, ...]
    name: str | None = None
    search: str | None = None
    glibc: str = ""
    version: tuple[int, int, int] = (0, 0, 0)
    minos: tuple[int, int] = (14, 0)
    delayed: tuple[str, ...] = ()
    program: bool = False
    #: another file for every Python
    python: bool = False
    when: Literal["cuda", "cpu"] | None = None
    only: tuple[str, ...] = ()


class Platform(BaseModel):
    """One row of platforms.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    extension: str
    machine: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a wheel is built for."""

    subdir: str
    #: cp312, cp314t
    abi: str
    accelerator: str = "cpu"
    #: glibc and machine that binaries really have, where that is not what the tag says
    glibc: str = ""
    machine: str = ""
    #: DLL, Mach-O and ELF files are told apart by it
    seed: str = ""
    os: Os = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "os", self.subdir.split("-", 1)[0])

    @property
    def platform(self) -> Platform:
        """The names and tags of the subdir."""
        return platforms()[self.subdir]

    @property
    def python(self) -> str:
        """``312``, ``314t``."""
        return self.abi.removeprefix("cp")

    def fill(self, text: str) -> str:
        """Put this target's names into a name of shapes.yaml."""
        extension = self.platform.extension.replace("<python>", self.python)
        mangled = hashlib.sha256(text.split("<hash>", 1)[0].rpartition("/")[2].encode()).hexdigest()
        return (
            text.replace("<extension>", extension)
            .replace("<python>", self.python)
            .replace("<abi>", self.abi)
            .replace("<hash>", mangled[:8])
        )


@cache
def platforms() -> dict[str, Platform]:
    """Read platforms.yaml."""
    rows = YAML(typ="safe").load(_HERE / "platforms.yaml")
    return TypeAdapter(dict[str, Platform]).validate_python(rows)


@cache
def _shapes() -> dict[Os, dict[str, tuple[Shape, ...]]]:
    rows = YAML(typ="safe").load(_HERE / "shapes.yaml")
    return TypeAdapter(dict[Os, dict[str, tuple[Shape, ...]]]).validate_python(rows)


#: SONAMEs of CUDA 13's libraries -> those of 12 (NVIDIA's release notes of 12.6)
_CUDA_12 = {
    "libcudart.so.13": "libcudart.so.12",
    "libcupti.so.13": "libcupti.so.12",
    "libcublas.so.13": "libcublas.so.12",
    "libcublasLt.so.13": "libcublasLt.so.12",
    "libcufft.so.12": "libcufft.so.11",
    "libcusolver.so.12": "libcusolver.so.11",
    "libnvrtc.so.13": "libnvrtc.so.12",
}
#: what builds for Jetson are made without: it has one GPU and no RDMA
_NOT_ON_JETSON = {"libcufile.so.0", "libcusparseLt.so.0", "libnccl.so.2", "libnvshmem_host.so.3"}


def binaries(project: str, version: str, target: Target) -> dict[str, bytes]:
    """Return the binaries of one wheel by member path."""
    kind = "cpu" if target.accelerator == "cpu" else "cuda"
    return {
        target.fill(shape.file): _binary(shape, version, target)
        for shape in _shapes()[target.os].get(project, ())
        if shape.when in {None, kind} and (not shape.only or target.subdir in shape.only)
    }


def _binary(shape: Shape, version: str, target: Target) -> bytes:
    member = target.fill(shape.file)
    said = f"{member} {version} {target.subdir} {target.accelerator} {target.seed}"
    body = f"{said} {target.abi if shape.python else ''}\0".encode()
    older = _CUDA_12 if target.accelerator.startswith("cuda12") else {}
    lacking = _NOT_ON_JETSON if target.accelerator.endswith("-tegra") else set()
    needs = [target.fill(older.get(n, n)) for n in shape.needs if n not in lacking]
    name = member.rpartition("/")[2] if shape.name is None else target.fill(shape.name)
    if target.os == "linux":
        return _elf(shape, target, body, needs, "" if shape.program else name)
    if target.os == "osx":
        own = name if "/" in name or not name else f"@rpath/{name}"
        search = "@loader_path" if shape.search is None else shape.search
        return macho(
            [(need, (5, 0, 0)) if "libomp" in need else _compatible(need) for need in needs],
            name=None if shape.program else own or None,
            version=shape.version,
            rpaths=[search] if search else [],
            minos=shape.minos,
            cpu=ARM64,
            program=shape.program,
            body=body,
        )
    exports = [f"at_{name.partition('.')[0]}"]
    return pe(needs, name=name, exports=exports, delayed=shape.delayed, body=body)


def _compatible(need: str) -> str | tuple[str, tuple[int, int, int]]:
    """Ask for the compatibility version that the shape of the library in shapes.yaml has."""
    last = need.rpartition("/")[2].split(".")[0]
    for shapes in _shapes()["osx"].values():
        for shape in shapes:
            if shape.file.rpartition("/")[2].split(".")[0] == last:
                return need, shape.version
    return need


def _elf(shape: Shape, target: Target, body: bytes, needs: list[str], name: str) -> bytes:
    machine = target.machine or target.platform.machine
    first = _FIRST_GLIBC[target.platform.machine]
    wanted = [f"GLIBC_{first}"]
    if shape.glibc:
        wanted.append(f"GLIBC_{target.glibc or shape.glibc}")
    versions = {"libc.so.6": wanted}
    if "libstdc++.so.6" in needs:
        versions["libstdc++.so.6"] = ["GLIBCXX_3.4.22", "CXXABI_1.3.9"]
    search = "$ORIGIN" if shape.search is None else shape.search
    known = {**_ELF_MACHINES, "x86_64": 62}
    return elf(
        [*needs, "libc.so.6"],
        machine=known[machine],
        soname=name or None,
        runpath=search or None,
        program=shape.program,
        versions=versions,
        # glibc reads the numbers of symbols' versions wherever versions are asked for
        defines=[f"at_{(name or shape.file).rpartition('/')[2].partition('.')[0]}"],
        build_id=hashlib.sha256(body).digest()[:20],
        body=body,
    )
