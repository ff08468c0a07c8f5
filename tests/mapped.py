"""Which files a process has in memory, and how often it has each library."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: libraries that must not be there twice, by what their files are called, mangled or not
FAMILIES: Mapping[str, str] = {
    "OpenMP runtime": r"lib[gi]?omp[.-]",
    "OpenBLAS": r"lib\w*openblas",
    "Fortran runtime": r"libgfortran[.-]",
    "libjpeg": r"libjpeg[.-]",
    "libpng": r"libpng\d*[.-]",
    "libz": r"libz[.-]",
    "libwebp": r"libwebp[.-]",
    "libsharpyuv": r"libsharpyuv[.-]",
    "liblzma": r"liblzma[.-]",
    "libzstd": r"libzstd[.-]",
    "C++ runtime": r"libstdc\+\+[.-]",
    "dynamic loader": r"ld-linux-",
}


@dataclass(frozen=True)
class MappedFile:
    """One file in a process's memory; two names of one inode are one library."""

    device: str
    inode: int
    path: Path


def parse(output: str) -> frozenset[MappedFile]:
    """Read the last line of what programs/mapped_files.py returns."""
    rows = json.loads(output.splitlines()[-1])
    return frozenset(MappedFile(device, int(inode), Path(path)) for device, inode, path in rows)


def copies(files: Iterable[MappedFile]) -> dict[str, list[Path]]:
    """The different files of every family, one path for each."""
    found: dict[str, dict[tuple[str, int], Path]] = defaultdict(dict)
    for file in files:
        for family, pattern in FAMILIES.items():
            if re.match(pattern, file.path.name):
                found[family].setdefault((file.device, file.inode), file.path)
    return {family: sorted(found[family].values()) for family in FAMILIES}
