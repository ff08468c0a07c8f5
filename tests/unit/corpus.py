"""Headers of real binaries, and nasty ones, for the readers to be fuzzed with.

Each file of corpus/ has what a reader reads of one binary, and how large that is: JSON with the
ranges as hex, zeros elsewhere. To add one: `python -m tests.unit.corpus FILE [MEMBER] >> ...`,
which reads FILE, or a member of a wheel, and writes such a document.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from generator.inspecting import read_binary

FOLDER = Path(__file__).with_name("corpus")


@dataclass(frozen=True)
class Sample:
    """One binary of the corpus."""

    name: str
    #: where it comes from, or what is wrong with it
    about: str
    size: int
    ranges: dict[int, bytes]
    #: machines that the reader finds; None where it must refuse
    machines: list[str] | None

    def content(self) -> bytes:
        """The file, zeros where nothing is read."""
        whole = bytearray(self.size)
        for offset, part in self.ranges.items():
            whole[offset : offset + len(part)] = part
        return bytes(whole)


def samples() -> list[Sample]:
    return [_load(path) for path in sorted(FOLDER.glob("*.json"))]


def _load(path: Path) -> Sample:
    row = json.loads(path.read_text())
    ranges = {int(offset): bytes.fromhex(part) for offset, part in row["ranges"].items()}
    return Sample(path.stem, row["about"], row["size"], ranges, row["machines"])


class _Recording(io.BytesIO):
    """Notes which bytes are read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.seen = bytearray(len(content))

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        content = super().read(size)
        self.seen[start : start + len(content)] = b"\1" * len(content)
        return content


def record(content: bytes, name: str, about: str) -> str:
    """Write the document for a binary: only what is read of it, texts up to their end."""
    stream = _Recording(content)
    found = read_binary(stream, len(content), name)
    ranges: dict[str, str] = {}
    start = None
    for offset in range(len(content) + 1):
        here = offset < len(content) and stream.seen[offset]
        if here and start is None:
            start = offset
        elif not here and start is not None:
            part = content[start:offset]
            # a text is read with what follows it, which is not needed
            ranges[str(start)] = part.rstrip(b"\0").hex()
            start = None
    row = {
        "about": about,
        "size": len(content),
        "machines": [part.machine for part in found],
        "ranges": ranges,
    }
    return json.dumps(row, indent=1) + "\n"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    if len(sys.argv) > 2:
        with zipfile.ZipFile(file) as archive:
            binary = archive.read(sys.argv[2])
        told = f"{sys.argv[2]} of {file.name}"
    else:
        binary, told = file.read_bytes(), file.name
    sys.stdout.write(record(binary, sys.argv[-1], told))
