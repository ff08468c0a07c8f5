"""Writes small wheels that are true in structure: RECORD, METADATA, WHEEL, tags; same bytes always.

Used by tests that need upstream wheels without downloading upstream's.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: zip's earliest time, so that no clock enters a wheel
EPOCH = (1980, 1, 1, 0, 0, 0)
AARCH64, ARM64_MACHO = 183, 0x0100000C


@dataclass(frozen=True, kw_only=True)
class TinyWheel:
    """What goes into a wheel; everything that is left out has a sound default."""

    project: str
    version: str
    tag: str
    members: Mapping[str, bytes] = field(default_factory=dict)
    requires: Sequence[str] = ()
    requires_python: str = ">=3.9"
    console_scripts: Sequence[str] = ()
    build: str = ""
    license_text: bytes = b"BSD-3-Clause\n"
    #: replaces METADATA whole
    metadata: bytes | None = None
    #: replaces RECORD whole
    record: bytes | None = None

    @property
    def filename(self) -> str:
        build = f"-{self.build}" if self.build else ""
        return f"{self.project}-{self.version}{build}-{self.tag}.whl"

    @property
    def dist_info(self) -> str:
        return f"{self.project}-{self.version}.dist-info"

    def metadata_bytes(self) -> bytes:
        if self.metadata is not None:
            return self.metadata
        lines = [
            "Metadata-Version: 2.4",
            f"Name: {self.project}",
            f"Version: {self.version}",
            f"Summary: a tiny {self.project}",
            "License-Expression: BSD-3-Clause",
            "License-File: LICENSE",
            f"Requires-Python: {self.requires_python}",
            *(f"Requires-Dist: {requirement}" for requirement in self.requires),
        ]
        return ("\n".join(lines) + "\n\nA tiny wheel for tests.\n").encode()

    def contents(self) -> dict[str, bytes]:
        """All members but RECORD, in the order upstream has them: dist-info last."""
        info = self.dist_info
        contents = {
            **self.members,
            f"{info}/licenses/LICENSE": self.license_text,
            f"{info}/METADATA": self.metadata_bytes(),
            f"{info}/WHEEL": (
                f"Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: false\nTag: {self.tag}\n"
            ).encode(),
        }
        if self.console_scripts:
            contents[f"{info}/entry_points.txt"] = (
                "[console_scripts]\n" + "\n".join(self.console_scripts) + "\n"
            ).encode()
        return contents

    def record_bytes(self) -> bytes:
        if self.record is not None:
            return self.record
        rows = [
            f"{path},{record_hash(content)},{len(content)}"
            for path, content in self.contents().items()
        ]
        return ("\n".join([*rows, f"{self.dist_info}/RECORD,,"]) + "\n").encode()

    def write(self, folder: Path) -> Path:
        members = [*self.contents().items(), (f"{self.dist_info}/RECORD", self.record_bytes())]
        return write_zip(folder / self.filename, members)


def record_hash(content: bytes) -> str:
    """The hash column of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    """Write members as they come; names are not checked, so that bad archives can be made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo("placeholder", EPOCH)
            info.filename = name
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return path


def tiny_elf(*, build_id: bytes = b"\1" * 20, body: bytes = b"", machine: int = AARCH64) -> bytes:
    """A 64-bit little-endian ELF file of one PT_NOTE segment (its build-id) and ``body``."""
    note = struct.pack("<III", 4, len(build_id), 3) + b"GNU\0" + build_id
    offset = 64 + 56
    header = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    )
    program = struct.pack("<IIQQQQQQ", 4, 4, offset, offset, offset, len(note), len(note), 4)
    return header + program + note + body


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
        },
    )


def tiny_companion(
    project: str,
    version: str,
    python: str,
    *,
    torch: str | None,
    platform: str = "manylinux_2_28_aarch64",
    requires_python: str = ">=3.10",
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
        },
    )
