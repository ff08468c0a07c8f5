"""Writes wheels (PEP 427): members, METADATA, WHEEL, tags, RECORD; the same bytes always."""

from __future__ import annotations

import base64
import hashlib
import io
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: the time of every member, so that no clock enters a wheel
WHEN = (2026, 1, 2, 3, 4, 6)


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
    generator: str = "tiny"
    #: members that the archive has a second time
    doubled: Sequence[str] = ()
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
                f"Wheel-Version: 1.0\nGenerator: {self.generator}\n"
                f"Root-Is-Purelib: false\nTag: {self.tag}\n"
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

    def members_in_order(self) -> list[tuple[str, bytes]]:
        """Every member as the archive has it, RECORD last (PEP 427)."""
        contents = self.contents()
        return [
            *contents.items(),
            *((name, contents[name]) for name in self.doubled),
            (f"{self.dist_info}/RECORD", self.record_bytes()),
        ]

    def content(self) -> bytes:
        """The whole file."""
        return zip_bytes(self.members_in_order())

    def write(self, folder: Path) -> Path:
        return write_zip(folder / self.filename, self.members_in_order())


def record_hash(content: bytes) -> str:
    """The hash column of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"


def zip_bytes(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Pack members as they come; names are not checked, so that bad archives can be made."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, content in members:
            info = zipfile.ZipInfo("placeholder", WHEN)
            info.filename = name
            info.compress_type = zipfile.ZIP_DEFLATED
            # as upstream's: programs can be run, and the archive says it was made on Unix
            info.create_system = 3
            info.external_attr = (0o755 if "/bin/" in name else 0o644) << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    """Write members as they come to a file, and its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zip_bytes(members))
    return path


def metadata_of(path: Path) -> bytes:
    """METADATA of a wheel file, as an index has its copy (PEP 658)."""
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return archive.read(name)
