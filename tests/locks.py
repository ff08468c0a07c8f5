"""Locks around tiny wheels, as `armtorch update` would write them, for tests that render or build.

The proof of what the Pythons share is computed here anew from its definition, so that these tests
do not stand on the code they check.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from generator.feedstock import Feedstock, IndexSource, SubdirWish, TrainPolicy
from generator.model import (
    Accelerator,
    Cell,
    Equivalent,
    Lock,
    Metadata,
    PythonBuild,
    Sharing,
    Wheel,
)
from generator.naming import is_bundled_place
from generator.upstream.archive import newest
from tests.tiny_wheels import TinyWheel, tiny_companion, tiny_elf, tiny_torch

LINUX, OSX = "manylinux_2_28_aarch64", "macosx_14_0_arm64"
#: what tiny_torch lacks of upstream's layout, and what of it must not be packaged
MORE = {
    "torch/include/ATen/ATen.h": b"#pragma once\n",
    "torch/include/c10/macros/Macros.h": b"#define C10\n",
    "torch/include/torch/script.h": b"#pragma once\n",
    "torch/include/pybind11/pybind11.h": b"#pragma once\n",
    "torch/include/kai/kai_common.h": b"// KleidiAI\n",
    "torch/share/cmake/Torch/TorchConfig.cmake": b"# torch\n",
    "torch/bin/torch_shm_manager": b"#!shm\n",
    "torch/bin/test_api": b"#!test\n",
    "torch/bin/protoc": b"#!protoc\n",
    "torch/test/cpp/test_x": b"test\n",
}
LINUX_ONLY = {
    "torch/lib/libgomp.so.1": b"gomp\n",
    "torch/lib/libopenblas-24fd393f.so.0": b"openblas\n",
    "torch/lib/libgfortran.so.5": b"gfortran\n",
}


def torch_wheel(
    version: str,
    python: str,
    *,
    platform: str = LINUX,
    requires: Sequence[str] = ("filelock",),
    extra: Mapping[str, bytes] | None = None,
) -> TinyWheel:
    """A torch with every kind of member that the layout has a rule for."""
    more = {**MORE, **(LINUX_ONLY if platform == LINUX else {})}
    # built apart, as upstream does it: another build-id and __TIME__ for every Python
    if platform == LINUX:
        ident = hashlib.sha1(python.encode(), usedforsecurity=False).digest()
        clock = f"c10\0{int(python.strip('cpt')) % 24:02}:42:16\0".encode()
        more["torch/lib/libc10.so"] = tiny_elf(build_id=ident, body=clock)
    return tiny_torch(
        version, python, platform=platform, requires=requires, extra={**more, **(extra or {})}
    )


@dataclass
class Shelf:
    """A wheelhouse being filled, and the lock's metadata of what is in it."""

    wheelhouse: Path | None = None
    metadata: dict[str, Metadata] = field(default_factory=dict)

    def add(self, tiny: TinyWheel) -> Wheel:
        """Write a wheel to its place and return what the lock says of it."""
        content = tiny.content()
        sha256 = hashlib.sha256(content).hexdigest()
        if self.wheelhouse is not None:
            place = self.wheelhouse / sha256[:16] / tiny.filename
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        metadata = hashlib.sha256(tiny.metadata_bytes()).hexdigest()
        self.metadata[metadata] = Metadata(
            name=tiny.project,
            version=tiny.version,
            summary=f"a tiny {tiny.project}",
            requires_python=tiny.requires_python,
            requires_dist=tuple(tiny.requires),
            license="BSD-3-Clause",
            license_files=(f"{tiny.dist_info}/licenses/LICENSE",),
        )
        _, abi, platform = tiny.tag.split("-")
        return Wheel(
            project=tiny.project,
            version=tiny.version,
            filename=tiny.filename,
            purl=f"pkg:pypi/{tiny.project}@{tiny.version}?file_name={tiny.filename}",
            size=len(content),
            sha256=sha256,
            index="pypi",
            python=None if abi == "none" else PythonBuild.from_abi(abi),
            platforms=(platform,),
            metadata=metadata,
            metadata_origin="range",
            record=hashlib.sha256(tiny.record_bytes()).hexdigest(),
            timestamp=newest(zipfile.ZipFile(io.BytesIO(content)).infolist()),
            console_scripts=tuple(sorted(tiny.console_scripts)),
        )

    def cell(
        self,
        line: str,
        accelerator: str,
        tinies: Sequence[TinyWheel],
        *,
        subdir: str = "linux-aarch64",
    ) -> Cell:
        """Add wheels and return their cell."""
        wheels = tuple(self.add(tiny) for tiny in tinies)
        trio = {wheel.project: wheel.version for wheel in wheels}
        return Cell(
            line=line,
            train="stable",
            subdir=subdir,
            accelerator=Accelerator.parse(accelerator),
            trio=trio,  # type: ignore[arg-type]
            wheels=wheels,
            bundled={
                project: tuple(
                    sorted(
                        {
                            member
                            for tiny in tinies
                            if tiny.project == project
                            for member in tiny.contents()
                            if is_bundled_place(member)
                        }
                    )
                )
                for project in trio
            },
            sharing=sharing([tiny for tiny in tinies if tiny.project == "torch"]),
        )

    def lock(self, *cells: Cell) -> Lock:
        """Return the lock of some cells."""
        return Lock(cells=cells, metadata=dict(self.metadata))


def sharing(torches: Sequence[TinyWheel]) -> Sharing:
    """Compute the proof of sharing from its definition in generator/model/cell.py."""
    contents = [tiny.contents() for tiny in torches]
    everything = {path for content in contents for path in content}
    own = {
        path
        for path in everything
        if path.startswith("torch/_C") or "torch_python" in path or ".dist-info/" in path
    }
    differing = {
        path for path in everything - own if len({content.get(path) for content in contents}) > 1
    }
    assert differing <= {"torch/lib/libc10.so"}, differing
    shared = sorted(everything - own - differing)
    lines = "".join(
        f"{path},{hashlib.sha256(contents[0][path]).hexdigest()},{len(contents[0][path])}\n"
        for path in shared
    )
    return Sharing(
        reference=str(min(PythonBuild.from_abi(tiny.tag.split("-")[1]) for tiny in torches)),
        members=len(shared),
        bytes=sum(len(contents[0][path]) for path in shared),
        digest=hashlib.sha256(lines.encode()).hexdigest(),
        per_python=tuple(sorted(own)),
        equivalent=tuple(
            Equivalent(
                member=path,
                rule="build-id-and-time",
                normalised_sha256=hashlib.sha256(
                    tiny_elf(build_id=bytes(20), body=b"c10\x0000:00:00\0")
                ).hexdigest(),
            )
            for path in sorted(differing)
        ),
    )


def feedstock(**changes: object) -> Feedstock:
    """A feedstock that asks for everything the locks here have."""
    facts: dict[str, object] = {
        "channel": "tiny",
        "maintainers": ("someone",),
        "armtorch": "checkout",
        "indexes": {"pypi": IndexSource(kind="pip")},
        "trains": {"stable": TrainPolicy()},
        "subdirs": {
            "linux-aarch64": SubdirWish(accelerators=("cpu", "cuda")),
            "osx-arm64": SubdirWish(accelerators=("cpu",)),
        },
    }
    return Feedstock(**{**facts, **changes})  # type: ignore[arg-type]


CUDA = (
    'nvidia-cudnn-cu13==9.24.0.43; platform_system == "Linux"',
    'triton~=3.8.0; platform_system == "Linux" and python_version < "3.14"',
)


def cpu_cell(shelf: Shelf, line: str = "9.1", version: str = "9.1.0") -> Cell:
    """A CPU trio for two ordinary Pythons and a free-threaded one."""
    pythons = ("cp311", "cp312", "cp314t")
    return shelf.cell(
        line,
        "cpu",
        [
            *(
                torch_wheel(
                    version, python, requires=("filelock", 'packaging; python_version >= "3.12"')
                )
                for python in pythons
            ),
            *(
                tiny_companion("torchvision", "0.91.0", python, torch=f"torch=={version}")
                for python in pythons
            ),
            *(tiny_companion("torchaudio", version, python, torch=None) for python in pythons[:2]),
        ],
    )


def cuda_cell(
    shelf: Shelf, accelerator: str = "cuda130", line: str = "9.1", version: str = "9.1.0"
) -> Cell:
    """A CUDA trio whose torchvision is one wheel for every Python."""
    return shelf.cell(
        line,
        accelerator,
        [
            *(
                torch_wheel(
                    version,
                    python,
                    requires=("filelock", *CUDA),
                    extra={
                        "torch/lib/libtorch_cuda.so": tiny_elf(body=accelerator.encode()),
                        "torch/version.py": f"cuda = {accelerator!r}\n".encode(),
                    },
                )
                for python in ("cp311", "cp312")
            ),
            tiny_companion("torchvision", "0.92.0", "py3", torch=f"torch>={version}"),
        ],
    )


def apart_cell(shelf: Shelf, line: str = "9.3", version: str = "9.3.0") -> Cell:
    """A CPU trio as torch 2.1 to 2.9 for aarch64: two of its Pythons have libraries of their own.

    Its torchaudio is one wheel for every Python.
    """
    groups = [
        [torch_wheel(version, python, extra={"torch/lib/libtorch_cpu.so": tiny_elf(body=code)})
         for python in pythons]
        for code, pythons in ((b"1", ("cp311", "cp312")), (b"2", ("cp313",)), (b"3", ("cp313t",)))
    ]  # fmt: skip
    companions = [
        tiny_companion("torchvision", "0.93.0", python, torch=f"torch=={version}")
        for python in ("cp311", "cp312", "cp313", "cp313t")
    ]
    everyone = tiny_companion("torchaudio", version, "py3", torch=f"torch=={version}")
    first, *apart = map(sharing, groups)
    return replace(
        shelf.cell(line, "cpu", [*groups[0], *companions, everyone]),
        sharing=first,
        apart=tuple(replace(each, pythons=(each.reference,)) for each in apart),
        wheels=tuple(map(shelf.add, (*chain(*groups), *companions, everyone))),
    ).in_order()


def osx_cell(shelf: Shelf, line: str = "9.1", version: str = "9.1.0") -> Cell:
    """A macOS trio, which has one Python more than the Linux ones and a patch less to get."""
    mended = {
        "torch/share/cmake/ATen/ATenConfig.cmake": b'set(ATEN "${CMAKE_CURRENT_LIST_DIR}/../..")\n'
    }
    return shelf.cell(
        line,
        "cpu",
        [
            *(
                torch_wheel(version, python, platform=OSX, extra=mended)
                for python in ("cp311", "cp312", "cp313")
            ),
            tiny_companion("torchvision", "0.92.0", "py3", torch=None, platform=OSX),
        ],
        subdir="osx-arm64",
    )
