"""Synthetic wheels of torch, torchvision, torchaudio and triton, in upstream's layout.

Everything a repacker looks at is there and true: binaries with their headers, the headers of torch
and of the projects it bundles, CMake's files with a build machine's path, version.py, licences,
entry points. What runs is not: no library has code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.synthetic_wheels.archive import TinyWheel
from tests.synthetic_wheels.binaries import Target, binaries
from tests.synthetic_wheels.elf import AARCH64, elf

#: what the builds of one release for several Pythons may differ in, beside what must differ
#: ``build-id``: libc10.so by its build-id and a ``__TIME__`` string (torch 2.10.0)
#: ``build-path``: ATenConfig.cmake by the folder it was built in (torch 2.15.0)
#: ``code``: libtorch_cpu by its code, which no rule forgives
Difference = Literal["build-id", "build-path", "code"]
_HEADERS = (
    "ATen/ATen.h",
    "c10/macros/Macros.h",
    "caffe2/core/common.h",
    "torch/script.h",
    "torch/extension.h",
    "torch/csrc/api/include/torch/torch.h",
    # other projects' headers, which base packages own
    "pybind11/pybind11.h",
    "fmt/format.h",
    "dnnl.h",
)
_CMAKE = (
    "Caffe2/Caffe2Config.cmake",
    "Torch/TorchConfig.cmake",
    "Torch/TorchConfigVersion.cmake",
)
_ATEN = """\
# Find the TH includes and library

set(ATEN_FOUND 1)
set(ATEN_INCLUDE_DIR "{folder}/torch/include")
set(ATEN_LIBRARIES "")
"""
_TARGETS = """\
get_filename_component(_IMPORT_PREFIX "${CMAKE_CURRENT_LIST_FILE}" PATH)
get_filename_component(_IMPORT_PREFIX "${_IMPORT_PREFIX}/../../.." ABSOLUTE)
foreach(_target c10 torch_cpu torch)
  add_library(${_target} SHARED IMPORTED)
endforeach()

include("${CMAKE_CURRENT_LIST_DIR}/Caffe2Targets-release.cmake")

# Cleanup temporary variables.
set(_IMPORT_PREFIX)

foreach(_cmake_target IN LISTS _cmake_import_check_targets)
  foreach(_cmake_file IN LISTS "_cmake_import_check_files_for_${_cmake_target}")
    if(NOT EXISTS "${_cmake_file}")
      message(FATAL_ERROR "${_cmake_target} references ${_cmake_file}, which does not exist")
    endif()
  endforeach()
endforeach()
"""
_VERSION = """\
from typing import Optional

__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip', 'rocm', 'xpu']
__version__ = '{version}'
debug = False
cuda: Optional[str] = {cuda}
git_version = '{git}'
hip: Optional[str] = None
rocm: Optional[str] = None
xpu: Optional[str] = None
"""
_EXTENSION = """\
import os
import sys

_TORCH_PATH = get_file_path("torch")
TORCH_LIB_PATH = os.path.join(_TORCH_PATH, 'lib')
"""
_UTILS = """\
import os.path as _osp

cmake_prefix_path = _osp.join(_osp.dirname(_osp.dirname(__file__)), "share", "cmake")
"""
#: libraries that exist as a DLL and an import library, and static ones beside them
_STATIC = ("dnnl.lib", "cpuinfo.lib", "XNNPACK.lib")
_PYTHON = ("filelock", "typing-extensions>=4.10.0", "sympy>=1.13.3", "networkx>=2.5.1", "jinja2")
_TOOLKIT = "cublas,cudart,cufft,cufile,cupti,curand,cusolver,cusparse,nvjitlink,nvrtc"
_CUDA = (
    'cuda-bindings<14,>=13.0.3; platform_system == "Linux"',
    f'cuda-toolkit[{_TOOLKIT}]=={{cuda}}.3; platform_system == "Linux"',
    'nvidia-cudnn-cu13==9.24.0.43; platform_system == "Linux"',
    'nvidia-cusparselt-cu13==0.8.1; platform_system == "Linux"',
    'nvidia-nccl-cu13==2.30.4; platform_system == "Linux"',
    'nvidia-nvshmem-cu13==3.6.5; platform_system == "Linux"',
)


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release of the four projects for one subdir and accelerator.

    >>> Release(subdir="linux-aarch64", torch="2.10.0").wheel("torch", "cp312").filename
    'torch-2.10.0-cp312-cp312-manylinux_2_28_aarch64.whl'
    """

    subdir: str
    torch: str
    torchvision: str = "0.25.0"
    torchaudio: str = "2.10.0"
    triton: str = "3.8.0"
    #: ``cpu``, ``cuda130`` or ``cuda126-tegra``
    accelerator: str = "cpu"
    #: PEP 440 local version, as download.pytorch.org's wheels have it: ``cpu``, ``cu130``
    local: str = ""
    #: what the Pythons' builds differ in
    differs: frozenset[Difference] = frozenset({"build-id"})
    #: another platform tag than the subdir's usual one
    tag: str = ""
    requires_python: str = ">=3.10"
    #: projects with one wheel for all Pythons
    any_python: frozenset[str] = frozenset()
    #: glibc and machine of the binaries, where they are not what the tag says
    glibc: str = ""
    machine: str = ""
    #: members that are added to or replaced in every wheel of a project
    extra: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)

    @property
    def cuda(self) -> str:
        """``13.0``; "" without CUDA."""
        return "" if self.accelerator == "cpu" else f"{self.accelerator[4:6]}.{self.accelerator[6]}"

    def wheel(self, project: str, abi: str) -> TinyWheel:
        """Make the wheel of one project for one Python, ``cp312`` or ``cp314t``."""
        target = Target(
            subdir=self.subdir,
            abi=abi,
            accelerator=self.accelerator,
            glibc=self.glibc,
            machine=self.machine,
        )
        version = getattr(self, project)
        full = f"{version}+{self.local}" if self.local else version
        makers = {"torch": _torch, "torchvision": _companion, "torchaudio": _companion}
        maker = makers.get(project, _triton)
        members, requires, scripts = maker(self, project, full, target)
        python, ending = abi.removesuffix("t"), abi
        if project in self.any_python:
            python, ending = "py3", "none"
        return TinyWheel(
            project=project,
            version=full,
            tag=f"{python}-{ending}-{self.tag or target.platform.tag}",
            requires=requires,
            requires_python=self.requires_python,
            console_scripts=scripts,
            generator="scikit-build-core 1.1.1" if project == "torch" else "setuptools (80.9.0)",
            members={**members, **self.extra.get(project, {})},
        )

    def wheels(
        self,
        pythons: Sequence[str],
        projects: Sequence[str] = ("torch", "torchvision", "torchaudio"),
    ) -> list[TinyWheel]:
        """Make the wheels of some projects for some Pythons, one each where one serves all."""
        return [
            self.wheel(project, abi)
            for project in projects
            for abi in (pythons[:1] if project in self.any_python else pythons)
        ]


_Parts = tuple[dict[str, bytes], Sequence[str], Sequence[str]]


def _torch(release: Release, project: str, version: str, target: Target) -> _Parts:
    cuda = repr(release.cuda) if release.cuda else "None"
    git = hashlib.sha256(version.encode()).hexdigest()[:40]
    folder = "C:/actions-runner/_work" if target.os == "win" else "/pytorch"
    if "build-path" in release.differs:
        folder = f"{folder}/{target.abi}"
    members = {
        "torch/__init__.py": b"from torch._C import *\nfrom .version import __version__\n",
        "torch/version.py": _VERSION.format(version=version, cuda=cuda, git=git).encode(),
        "torch/utils/__init__.py": _UTILS.encode(),
        "torch/utils/cpp_extension.py": _EXTENSION.encode(),
        "torch/distributed/run.py": b"def main(): ...\n",
        "torchgen/__init__.py": b"",
        "functorch/__init__.py": b"",
        **{f"torch/include/{header}": _header(header) for header in _HEADERS},
        **{f"torch/share/cmake/{file}": f"# {file}\n".encode() for file in _CMAKE},
        "torch/share/cmake/Caffe2/Caffe2Targets.cmake": _TARGETS.encode(),
        "torch/share/cmake/Caffe2/Caffe2Targets-release.cmake": _release_targets(target),
        "torch/share/cmake/ATen/ATenConfig.cmake": _ATEN.format(folder=folder).encode(),
        **binaries(project, version, target),
    }
    if "build-id" in release.differs and target.os == "linux":
        members["torch/lib/libc10.so"] = _timed(members["torch/lib/libc10.so"], target)
    if "code" in release.differs:
        (cpu,) = (
            name
            for name in members
            if name.endswith(("torch_cpu.so", "torch_cpu.dylib", "torch_cpu.dll"))
        )
        members[cpu] += target.abi.encode()
    if target.os == "win":
        members |= _import_libraries(members, target)
    requires = [*_PYTHON, 'setuptools; python_version >= "3.12"']
    if release.cuda:
        major = release.cuda.partition(".")[0]
        rows = [row.replace("-cu13", f"-cu{major}") for row in _CUDA]
        if release.cuda == "13.2":
            rows = [row.replace("curand,", "") for row in rows]  # as torch 2.15.0 does
        if major == "12":
            rows[0] = rows[0].replace("<14,>=13.0.3", "<13,>=12.6.0")
        requires += [row.replace("{cuda}", release.cuda) for row in rows]
        requires.append(f'triton=={release.triton}; platform_system == "Linux"')
    scripts = [
        "torchrun = torch.distributed.run:main",
        "torchfrtrace = torch.distributed.flight_recorder.fr_trace:main",
    ]
    return members, requires, scripts


def _companion(release: Release, project: str, version: str, target: Target) -> _Parts:
    wanted = f"torch=={release.torch}"
    if project in release.any_python:
        wanted = f"torch>={release.torch}"
    members = {
        f"{project}/__init__.py": b"from .version import __version__\n",
        f"{project}/version.py": f"__version__ = {version!r}\n".encode(),
        **binaries(project, version, target),
    }
    requires = ["numpy", wanted, "pillow!=8.3.*,>=5.3.0"]
    return members, requires if project == "torchvision" else [wanted], ()


def _triton(_release: Release, project: str, version: str, target: Target) -> _Parts:
    members = {
        "triton/__init__.py": f"__version__ = {version!r}\n".encode(),
        "triton/backends/nvidia/bin/ptxas": elf(machine=AARCH64, program=True, body=b"ptxas"),
        **binaries(project, version, target),
    }
    return members, ['importlib-metadata; python_version < "3.10"'], ()


def _header(name: str) -> bytes:
    return f"#pragma once\n// {name}\n".encode()


def _timed(library: bytes, target: Target) -> bytes:
    """Give a library a build-id and a ``__TIME__`` of this Python's own build."""
    own = hashlib.sha256(library).digest()[:20]
    note = library.index(b"GNU\0") + 4
    own = hashlib.sha256(own + target.abi.encode()).digest()[:20]
    seconds = int.from_bytes(own[:2], "big")
    clock = f"\0{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}\0"
    return library[:note] + own + library[note + 20 :] + clock.encode()


def _release_targets(target: Target) -> bytes:
    """Write CMake's list of built libraries: their places are relative to the install prefix."""
    ending = {"linux": "lib{}.so", "osx": "lib{}.dylib", "win": "{}.dll"}[target.os]
    rows = []
    for name in ("c10", "torch_cpu", "torch"):
        places = {"IMPORTED_LOCATION_RELEASE": f"${{_IMPORT_PREFIX}}/lib/{ending.format(name)}"}
        if target.os == "win":
            places["IMPORTED_IMPLIB_RELEASE"] = f"${{_IMPORT_PREFIX}}/lib/{name}.lib"
        properties = "".join(f'  {key} "{place}"\n' for key, place in places.items())
        files = " ".join(f'"{place}"' for place in places.values())
        rows.append(
            f"set_target_properties({name} PROPERTIES\n{properties}  )\n"
            f"list(APPEND _cmake_import_check_targets {name} )\n"
            f"list(APPEND _cmake_import_check_files_for_{name} {files} )\n"
        )
    return "".join(rows).encode()


def _import_libraries(members: Mapping[str, bytes], target: Target) -> dict[str, bytes]:
    """Write the archives that MSVC's linker takes, one per DLL of torch's own, and static ones."""
    own = [
        name
        for name in members
        if name.startswith("torch/lib/") and name.endswith(".dll")
        and not name.startswith(("torch/lib/uv", "torch/lib/libomp"))
    ]  # fmt: skip
    found = {
        name.removesuffix("dll") + "lib": b"!<arch>\n" + name.encode()
        + (target.abi.encode() if "torch_python" in name else b"")
        for name in own
    }  # fmt: skip
    found["torch/lib/_C.lib"] = b"!<arch>\n_C " + target.abi.encode()
    return found | {f"torch/lib/{name}": b"!<arch>\n" + name.encode() for name in _STATIC}
