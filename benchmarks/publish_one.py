"""Publishes one more package to a channel of many, and indexes the same channel afresh."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zstandard
from rattler.index import index_fs
from rattler_build import assemble_package

from generator.channel import LocalChannel
from generator.channel.publication import outgoing
from generator.channel.publishing import Sender, make_plan
from generator.channel.serving import Served
from generator.channel.stores import FolderStore
from generator.console import Silent

SUBDIR = "linux-aarch64"
#: packages of one name: a channel has a few names and many builds
_BUILDS = 20


def main() -> None:
    number = int(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="armtorch-benchmark-") as name:
        folder = Path(name)
        store = FolderStore(LocalChannel(folder / "channel"))
        _fill(folder / "channel" / SUBDIR, number)
        started = time.monotonic()
        Served(store=store).index()
        first = time.monotonic() - started
        source = LocalChannel(folder / "one" / "channel")
        source.root.mkdir(parents=True)
        made = _package(folder / "one", "newcomer", "1.0")
        source.place(made, SUBDIR, replace=False)
        source.index()
        packages = outgoing(source)
        with _counted() as counted:
            started = time.monotonic()
            plan = make_plan(store, packages, force=False, budget=None)
            fresh = {each.key: each.path for each in packages}
            Sender(narrator=Silent()).send(store, plan, served=Served(store=store, fresh=fresh))
            one = time.monotonic() - started
        started = time.monotonic()
        asyncio.run(index_fs(folder / "channel", force=True))
        full = time.monotonic() - started
        written = sum(
            path.stat().st_size
            for path in (folder / "channel" / SUBDIR).iterdir()
            if path.suffix in {".json", ".zst"}
        )
    print(
        json.dumps(
            {
                "packages": number,
                "first_index_seconds": round(first, 2),
                "one_more_seconds": round(one, 2),
                "full_reindex_seconds": round(full, 2),
                "index_bytes_written": written,
                "one_more_bytes_read": counted["read"],
                "one_more_bytes_written": counted["written"],
            }
        )
    )


@contextmanager
def _counted() -> Iterator[dict[str, int]]:
    """Count what this process reads and writes (/proc/self/io, rchar and wchar)."""
    before, found = _io(), {"read": 0, "written": 0}
    yield found
    after = _io()
    found["read"], found["written"] = (after[i] - before[i] for i in (0, 1))


def _io() -> tuple[int, int]:
    rows = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(rows["rchar"]), int(rows["wchar"])


def _package(folder: Path, name: str, version: str) -> Path:
    files = folder / "files"
    files.mkdir(exist_ok=True)
    (files / "data").write_bytes(b"x" * 1000)
    return assemble_package(name, version, SUBDIR, "0", folder, files_dir=files).path


def _fill(folder: Path, number: int) -> None:
    """Make packages by rewriting the metadata of one, since building each takes too long."""
    folder.mkdir(parents=True)
    model = _package(folder.parent, "model", "1.0")
    with zipfile.ZipFile(model) as archive:
        payload = archive.read("pkg-model-1.0-0.tar.zst")
        packed = archive.read("info-model-1.0-0.tar.zst")
    shutil.rmtree(folder.parent / "files")
    model.unlink()
    metadata = zstandard.ZstdDecompressor().decompress(packed, max_output_size=1 << 24)
    compressor = zstandard.ZstdCompressor(level=1)
    for count in range(number):
        # as long as what they replace, so that the tar stays one
        name, version = f"m{count // _BUILDS:04}", f"1.{count % _BUILDS:02}"[:4]
        stem = f"{name}-{version}-0"
        info = metadata.replace(b'"model"', f'"{name}"'.encode()).replace(
            b'"version": "1.0"', f'"version":"{version}"'.encode()
        )
        with zipfile.ZipFile(folder / f"{stem}.conda", "w") as archive:
            archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
            archive.writestr(f"pkg-{stem}.tar.zst", payload)
            archive.writestr(f"info-{stem}.tar.zst", compressor.compress(info))


if __name__ == "__main__":
    main()
