"""What zstd's levels make of libtorch, the largest package of a cell, and what they cost."""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Final

import zstandard

from benchmarks.measuring import run_module

LEVELS: Final = (9, 15, 17, 19)
#: bytes that unpacking may need
_WINDOW: Final = 1 << 27


def main(feedstock: str, *cell: str) -> None:
    with tempfile.TemporaryDirectory(prefix="armtorch-benchmark-") as folder:
        run_module("benchmarks.fetch_cell", feedstock, *cell)
        run_module("benchmarks.build_cell", feedstock, *cell, folder, "1", "libtorch")
        (package,) = Path(folder).glob("*/libtorch-*.conda")
        with zipfile.ZipFile(package) as archive:
            name = next(each for each in archive.namelist() if each.startswith("pkg-"))
            packed = io.BytesIO(archive.read(name))
    files = zstandard.ZstdDecompressor().stream_reader(packed).read()
    found = {str(level): _at(level, files) for level in LEVELS}
    print(json.dumps({"package": package.name, "unpacked_bytes": len(files), "levels": found}))


def _at(level: int, files: bytes) -> dict[str, float]:
    began = time.process_time()
    packed = zstandard.ZstdCompressor(level=level).compress(files)
    between = time.process_time()
    zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompress(packed)
    return {
        "bytes": len(packed),
        "pack_cpu_seconds": round(between - began, 1),
        "unpack_cpu_seconds": round(time.process_time() - between, 2),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
