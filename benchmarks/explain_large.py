"""Explains failing commands on a channel of conda-forge's size, served over HTTP, cache warm.

It is served twice: in shards (CEP 16), as conda-forge and our own channels are, and as plain
repodata.json, as mirrors are. Each command has a process of its own, so that neither the server
nor what makes the channel counts.

The channel is the recorded trio and its base (tests/recorded) among synthetic packages with
conda-forge's shape: some 230,000 records for linux-aarch64 and 370,000 for noarch, a few names with
hundreds of builds and most with few, one to seven dependencies on older names beside Python's.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgpack
import zstandard

from benchmarks.measuring import own_peak_mib, run_module
from generator.console import Silent
from generator.explaining.answering import ExplainOptions, Reach, explain_request
from generator.project import Project
from tests import recorded

_SELF = "benchmarks.explain_large"
_NAMES = {"linux-aarch64": 9000, "noarch": 14000}
_PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
_COMMANDS = (
    "conda install pytorch torchvision torchaudio pytorch-cuda=12.4 -c pytorch",
    "conda install pytorch=2.13 torchaudio",
    "pixi add pytorch-gpu torchvision",
    "mamba install pytorhc",
    "conda create -n x python=3.9 pytorch torchvision pkg8000",
)


class _Quiet(SimpleHTTPRequestHandler):
    """Sends no file again that a client has, as conda's hosts and mirrors do not (RFC 9110)."""

    _state = ""

    def log_message(self, *_: Any) -> None:
        pass

    def send_head(self) -> Any:
        # its own "not modified" has no validator in it, which clients take for an error
        del self.headers["If-Modified-Since"]
        path = Path(self.translate_path(self.path))
        self._state = f'"{path.stat().st_mtime_ns:x}"' if path.is_file() else ""
        if self._state and self.headers["If-None-Match"] == self._state:
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.end_headers()
            return None
        return super().send_head()

    def end_headers(self) -> None:
        if self._state:
            self.send_header("ETag", self._state)
        super().end_headers()


class _Server(ThreadingHTTPServer):
    #: a client asks for thousands of shards at once, and five may wait
    request_queue_size = 1024


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    handler = partial(_Quiet, directory=str(folder))
    with _Server(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _records(subdir: str, chance: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    prefix = "pure" if subdir == "noarch" else "pkg"
    for index in range(_NAMES[subdir]):
        name = f"{prefix}{index}"
        # most names have a handful of builds, a few have hundreds
        for number in range(max(1, min(400, int(chance.paretovariate(1.1) * 6)))):
            older = [chance.randrange(max(1, index // 2)) for _ in range(chance.randrange(1, 8))]
            depends = [f"pkg{other}" for other in older if other < _NAMES["linux-aarch64"]]
            python = _PYTHONS[number % len(_PYTHONS)]
            if subdir == "noarch":
                depends = [*depends[:2], "python >=3.10"]
            else:
                minor = int(python.split(".")[1])
                depends += [f"python >={python},<3.{minor + 1}.0a0", "__glibc >=2.17,<3.0.a0"]
            build = f"h{chance.getrandbits(28):07x}_{number % 3}"
            version = f"{number // 8}.{number % 8}.0"
            yield (
                f"{name}-{version}-{build}.conda",
                {
                    "build": build,
                    "build_number": number % 3,
                    "constrains": [],
                    "depends": depends,
                    "license": "BSD-3-Clause",
                    "md5": f"{chance.getrandbits(128):032x}",
                    "name": name,
                    "sha256": f"{chance.getrandbits(256):064x}",
                    "size": chance.randrange(10_000, 10_000_000),
                    "subdir": subdir,
                    "timestamp": 1_700_000_000_000 + number,
                    "version": version,
                },
            )


def _enlarge(channel: Path) -> dict[str, int]:
    """Add the synthetic packages to a recorded channel; return records per subdir."""
    chance = random.Random(1)
    found = {}
    for subdir in _NAMES:
        path = channel / subdir / "repodata.json"
        document = json.loads(path.read_text())
        document["packages.conda"].update(_records(subdir, chance))
        found[subdir] = len(document["packages.conda"])
        path.write_text(json.dumps(document, separators=(",", ":")))
    return found


def _shard(channel: Path) -> None:
    """Write a channel's shards and their indexes (CEP 16) in place of its repodata.json."""
    pack = zstandard.ZstdCompressor()
    for folder in channel.iterdir():
        document = json.loads((folder / "repodata.json").read_text())
        names: dict[str, dict[str, Any]] = {}
        for file, record in document["packages.conda"].items():
            digests = {key: bytes.fromhex(record[key]) for key in ("md5", "sha256")}
            shard = names.setdefault(record["name"], {"packages": {}, "packages.conda": {}})
            shard["packages.conda"][file] = {**record, **digests}
        (folder / "shards").mkdir()
        shards = {}
        for name, shard in names.items():
            content = pack.compress(msgpack.packb({**shard, "removed": []}))
            shards[name] = hashlib.sha256(content).digest()
            (folder / "shards" / f"{shards[name].hex()}.msgpack.zst").write_bytes(content)
        info = {"subdir": folder.name, "base_url": "./", "shards_base_url": "./shards/"}
        index = {"info": info, "repodata_version": 1, "shards": shards}
        (folder / "repodata_shards.msgpack.zst").write_bytes(pack.compress(msgpack.packb(index)))
        (folder / "repodata.json").unlink()


def _timed(feedstock: str, command: str, alias: str, cache: str) -> dict[str, float]:
    """Explain twice: first for the memory, then, with the data files read, for the time."""
    project = Project(feedstock=Path(feedstock), narrator=Silent(), cache=Path(cache))
    # a new gateway every time, as in a new process: what is warm is the cache on disk
    # the cold run asks a server in Python for thousands of shards at once
    reach = Reach(alias=alias, timeout=300)
    options = ExplainOptions(subdir="linux-aarch64", reach=reach)
    peaks = []
    for _ in range(2):
        started, used = time.monotonic(), time.process_time()
        found = explain_request(project, command, options)
        wall, cpu = time.monotonic() - started, time.process_time() - used
        peaks.append(round(own_peak_mib()))
        assert found.outcome == "fails", command
        assert found.commands, command
    return {"seconds": round(wall, 2), "cpu_seconds": round(cpu, 2), "peak_mib": peaks[0]}


def _measured(feedstock: str, channels: Path, cache: Path) -> dict[str, Any]:
    with _serving(channels) as alias:
        # the first run fills the cache
        cold, _ = run_module(_SELF, feedstock, _COMMANDS[-1], alias, str(cache))
        rows = {}
        for command in _COMMANDS:
            _, rows[command] = run_module(_SELF, feedstock, command, alias, str(cache))
    slowest = {f"slowest_{key}": max(row[key] for row in rows.values()) for key in rows[command]}
    return {"cold_wall_seconds": round(cold.wall_seconds, 2), "warm": rows, **slowest}


def main(feedstock: str, *measured: str) -> None:
    if measured:
        print(json.dumps(_timed(feedstock, *measured)))
        return
    with tempfile.TemporaryDirectory(prefix="armtorch-benchmark-") as name:
        folder = Path(name)
        project = Project(feedstock=Path(feedstock), narrator=Silent())
        recorded.write(project, folder / "channels")
        records = _enlarge(folder / "channels/conda-forge")
        files = (folder / "channels/conda-forge").rglob("*.json")
        found: dict[str, Any] = {
            "records": records,
            "repodata_bytes": sum(path.stat().st_size for path in files),
            "plain": _measured(feedstock, folder / "channels", folder / "cache"),
        }
        _shard(folder / "channels/conda-forge")
        found["sharded"] = _measured(feedstock, folder / "channels", folder / "sharded")
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
