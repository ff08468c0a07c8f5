"""Verifies a channel, reads and hashes every file of it, and unpacks and hashes it as a stream.

``python -m benchmarks.verify_cell FEEDSTOCK CHANNEL``. A package is read when each file in it is
known by its sha256: that is what a reader in Python makes of a .conda file, with tarfile. The bare
stream, of which nobody knows where a file begins, is less than any reader can do, and is given
beside it. All in processor time of this process, three times in turn, of which the least counts.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from generator.console import Silent
from generator.inspecting.proving import VerifyOptions, find_packages, verify_packages
from generator.project import Project

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
        for path in packages:
            _each(path, _hash_files)

    def stream() -> None:
        nonlocal unpacked
        unpacked = sum(_each(path, _hash_stream) for path in packages)

    least = dict.fromkeys(("read", "stream", "verify"), float("inf"))
    for _ in range(_TIMES):
        for name, work in (("read", read), ("stream", stream), ("verify", verify)):
            least[name] = min(least[name], _timed(work))
    assert verdicts == {"proven"}, verdicts
    figures = {
        "packages": len(packages),
        "package_bytes": sum(path.stat().st_size for path in packages),
        "unpacked_bytes": unpacked,
        "read_and_hash_cpu_seconds": round(least["read"], 2),
        "bare_stream_cpu_seconds": round(least["stream"], 2),
        "verify_cpu_seconds": round(least["verify"], 2),
        "verify_over_read": round(least["verify"] / least["read"], 3),
        "verify_over_bare_stream": round(least["verify"] / least["stream"], 3),
    }
    print(json.dumps(figures))


def _timed(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _each(path: Path, take: Callable[[IO[bytes]], int]) -> int:
    """Unpack both tars of a package."""
    taken = 0
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".zst"):
                with (
                    archive.open(name) as packed,
                    zstandard.ZstdDecompressor().stream_reader(packed, read_size=_BLOCK) as reader,
                ):
                    taken += take(cast("IO[bytes]", reader))
    return taken


def _hash_files(reader: IO[bytes]) -> int:
    files = 0
    with tarfile.open(fileobj=reader, mode="r|", bufsize=_BLOCK) as tar:
        for entry in tar:
            if entry.isreg() and (stream := tar.extractfile(entry)) is not None:
                hashlib.file_digest(cast("Any", stream), "sha256")
                files += 1
    return files


def _hash_stream(reader: IO[bytes]) -> int:
    size, digest = 0, hashlib.sha256()
    while block := reader.read(_BLOCK):
        digest.update(block)
        size += len(block)
    return size


if __name__ == "__main__":
    main()
