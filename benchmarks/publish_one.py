"""Publishes one more package to a channel of many, and indexes the same channel afresh."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import zstandard
from rattler.index import index_fs
from rattler_build import assemble_package

from benchmarks.measuring import run_module
from generator.atomic import write_bytes
from generator.channel import LocalChannel
from generator.channel.publication import outgoing
from generator.channel.publishing import Sender, make_plan
from generator.channel.serving import Served
from generator.channel.stores import FolderStore
from generator.console import Silent

SUBDIR = "linux-aarch64"
#: packages of one name: a channel has a few names and many builds
_BUILDS = 20


#: how often one more is published
_TRIES = 3


def main() -> None:
    """Print what one more package costs a channel of as many as the argument says."""
    if sys.argv[1] in _STEPS:
        print(json.dumps(_STEPS[sys.argv[1]](*map(Path, sys.argv[2:]))), flush=True)
        # py-rattler 0.28 was seen to crash where the interpreter ends while its threads still free
        # the records of 100,000 packages
        os._exit(0)
    number = int(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="armtorch-benchmark-") as name:
        folder = Path(name)
        channel = folder / "channel"
        _fill(channel / SUBDIR, number)
        first, _ = run_module(_SELF, "first", str(channel))
        tries = []
        for count in range(_TRIES):
            source = _source(folder / f"one{count}", f"1.{count}")
            cost, figures = run_module(_SELF, "one", str(channel), str(source.root))
            tries.append({**figures, "peak_mib": round(cost.peak_mib)})
        one = sorted(tries, key=lambda each: each["seconds"])[_TRIES // 2]
        repodata = channel / SUBDIR / "repodata.json"
        started = time.monotonic()
        write_bytes(folder / "written", repodata.read_bytes())
        written = time.monotonic() - started
        _, full = run_module(_SELF, "full", str(channel))
    print(
        json.dumps(
            {
                "packages": number,
                "first_index_seconds": round(first.wall_seconds, 2),
                "one_more": one,
                "full_reindex": full,
                "writing_repodata_seconds": round(written, 3),
                "seconds_over_full": round(one["seconds"] / full["seconds"], 3),
                "cpu_over_full": round(one["cpu_seconds"] / full["cpu_seconds"], 3),
                "seconds_above_writing_over_full": round(
                    (one["seconds"] - written) / full["seconds"], 3
                ),
            }
        )
    )


def _first(channel: Path) -> None:
    Served(store=FolderStore(LocalChannel(channel))).index()


def _one(channel: Path, source: Path) -> dict[str, float]:
    store = FolderStore(LocalChannel(channel))
    packages = outgoing(LocalChannel(source))
    with _measured() as found:
        plan = make_plan(store, packages, force=False, budget=None)
        fresh = {each.key: each.path for each in packages}
        Sender(narrator=Silent()).send(store, plan, served=Served(store=store, fresh=fresh))
    return found


def _full(channel: Path) -> dict[str, float]:
    """Let rattler read every package again, as of a channel that it knows nothing of."""
    with _measured() as found:
        asyncio.run(index_fs(channel, force=True))
    return found


_SELF = "benchmarks.publish_one"
_STEPS: dict[str, Callable[..., object]] = {"first": _first, "one": _one, "full": _full}


@contextmanager
def _measured() -> Iterator[dict[str, float]]:
    """Measure time, and what is read and written (/proc/self/io, rchar and wchar)."""
    found: dict[str, float] = {}
    before, started, cpu = _io(), time.monotonic(), time.process_time()
    yield found
    found["seconds"] = round(time.monotonic() - started, 2)
    found["cpu_seconds"] = round(time.process_time() - cpu, 2)
    after = _io()
    found["bytes_read"], found["bytes_written"] = (after[i] - before[i] for i in (0, 1))


def _io() -> tuple[int, int]:
    rows = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(rows["rchar"]), int(rows["wchar"])


def _source(folder: Path, version: str) -> LocalChannel:
    """Make a channel of one package that is new."""
    folder.mkdir()
    channel = LocalChannel(folder / "channel")
    channel.place(_package(folder, "newcomer", version), SUBDIR, replace=False)
    channel.index()
    return channel


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
