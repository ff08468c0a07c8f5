"""The least of a torch and its companions that update and render can work on.

Wheels with everything upstream's have are made by tests/synthetic_wheels, whose writers these use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.synthetic_wheels.archive import TinyWheel, record_hash, write_zip
from tests.synthetic_wheels.elf import AARCH64, elf

__all__ = ["TinyWheel", "record_hash", "tiny_companion", "tiny_elf", "tiny_torch", "write_zip"]


def tiny_elf(*, build_id: bytes = b"\1" * 20, body: bytes = b"", machine: int = AARCH64) -> bytes:
    """An ELF library that needs nothing, of a build-id and ``body``."""
    return elf(machine=machine, build_id=build_id, body=body)


def tiny_torch(
    version: str,
    python: str,
    *,
    platform: str = "manylinux_2_28_aarch64",
    requires: Sequence[str] = ("filelock", "typing-extensions>=4.10.0"),
    requires_python: str = ">=3.10",
    build: str = "",
    extra: Mapping[str, bytes] | None = None,
) -> TinyWheel:
    """A torch of a few files in upstream's layout; Pythons differ where upstream's do."""
    interpreter = python.removesuffix("t")
    ending = "dylib" if platform.startswith("macosx") else "so"
    os_name = "darwin" if ending == "dylib" else "aarch64-linux-gnu"
    return TinyWheel(
        project="torch",
        version=version,
        tag=f"{interpreter}-{python}-{platform}",
        requires=requires,
        requires_python=requires_python,
        build=build,
        console_scripts=["torchrun = torch.distributed.run:main"],
        members={
            "torch/__init__.py": f"__version__ = {version!r}\n".encode(),
            "torch/version.py": f"__version__ = {version!r}\ncuda = None\n".encode(),
            f"torch/_C.cpython-{python.removeprefix('cp')}-{os_name}.so": tiny_elf(
                body=f"_C of {python}".encode()
            ),
            f"torch/lib/libtorch_cpu.{ending}": tiny_elf(body=f"cpu {version}".encode()),
            f"torch/lib/libc10.{ending}": tiny_elf(body=b"c10"),
            f"torch/lib/libtorch_python.{ending}": tiny_elf(body=f"python {python}".encode()),
            "torch/include/torch/torch.h": b"#pragma once\n",
            "torch/share/cmake/ATen/ATenConfig.cmake": (
                b'set(ATEN_INCLUDE_DIR "/tmp/build/torch/include")\n'
            ),
            **(extra or {}),
            **_cuda(requires, extra or {}),
        },
    )


def _cuda(requires: Sequence[str], there: Mapping[str, bytes]) -> dict[str, bytes]:
    """What a torch has that asks for NVIDIA's libraries."""
    path = "torch/lib/libtorch_cuda.so"
    asks = any(each.startswith(("nvidia-", "cuda-")) for each in requires)
    return {path: tiny_elf(body=b"cuda")} if asks and path not in there else {}


def tiny_companion(
    project: str,
    version: str,
    python: str,
    *,
    torch: str | None,
    platform: str = "manylinux_2_28_aarch64",
    requires_python: str = ">=3.10",
    extra: Mapping[str, bytes] | None = None,
) -> TinyWheel:
    """A torchvision or torchaudio; ``torch`` is its requirement, None says nothing at all."""
    abi = "none" if python == "py3" else python
    return TinyWheel(
        project=project,
        version=version,
        tag=f"{python.removesuffix('t')}-{abi}-{platform}",
        requires=[] if torch is None else ["numpy", torch],
        requires_python=requires_python,
        members={
            f"{project}/__init__.py": f"__version__ = {version!r}\n".encode(),
            f"{project}/_C.so": tiny_elf(body=project.encode()),
            **(extra or {}),
        },
    )
