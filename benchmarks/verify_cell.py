"""Verifies a channel, and reads, unpacks and hashes the same bytes: what that takes at least.

``python -m benchmarks.verify_cell FEEDSTOCK CHANNEL``; both in processor time of this process, and
three times in turn, of which the least counts.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import zstandard

from generator.console import Silent
from generator.stages.project import Project
from generator.stages.verifying import VerifyOptions, find_packages, verify_packages

_TIMES = 3
_BLOCK = 1 << 20


def main() -> None:
    project = Project(feedstock=Path(sys.argv[1]), narrator=Silent())
    packages = find_packages([sys.argv[2]])
    verdicts: set[str] = set()
    unpacked = 0

    def verify() -> None:
        proofs = verify_packages(project, packages, VerifyOptions())
        verdicts.update(proof.verdict for proof in proofs)

    def read() -> None:
        nonlocal unpacked
        unpacked = sum(_read(path) for path in packages)

    least = {"verify": float("inf"), "read": float("inf")}
    for _ in range(_TIMES):
        for name, work in (("read", read), ("verify", verify)):
            least[name] = min(least[name], _timed(work))
    assert verdicts == {"proven"}, verdicts
    figures = {
        "packages": len(packages),
        "package_bytes": sum(path.stat().st_size for path in packages),
        "unpacked_bytes": unpacked,
        "read_and_hash_cpu_seconds": round(least["read"], 2),
        "verify_cpu_seconds": round(least["verify"], 2),
        "verify_over_read": round(least["verify"] / least["read"], 3),
    }
    print(json.dumps(figures))


def _timed(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _read(path: Path) -> int:
    """Hash everything in a package, once."""
    size = 0
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            digest = hashlib.sha256()
            if not name.endswith(".zst"):
                continue
            with (
                archive.open(name) as packed,
                zstandard.ZstdDecompressor().stream_reader(packed, read_size=_BLOCK) as reader,
            ):
                while block := reader.read(_BLOCK):
                    digest.update(block)
                    size += len(block)
    return size


if __name__ == "__main__":
    main()
