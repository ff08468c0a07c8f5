"""Explains failing commands on a channel of conda-forge's size, served over HTTP, cache warm.

The channel is the recorded trio and its base (tests/recorded) among synthetic packages with
conda-forge's shape: some 230,000 records for linux-aarch64 and 370,000 for noarch, a few names with
hundreds of builds and most with few, one to seven dependencies on older names beside Python's.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from generator.console import Silent
from generator.explaining import Explanation
from generator.stages.explaining import ExplainOptions, Reach, explain_request
from generator.stages.project import Project
from tests import recorded

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
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
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


def _timed(project: Project, command: str, alias: str) -> tuple[float, float, Explanation]:
    """Return wall and CPU seconds, and the explanation."""
    # a new gateway every time, as in a new process: what is warm is the cache on disk
    options = ExplainOptions(subdir="linux-aarch64", reach=Reach(alias=alias))
    started, used = time.monotonic(), time.process_time()
    found = explain_request(project, command, options)
    return time.monotonic() - started, time.process_time() - used, found


def main(feedstock: str) -> None:
    with tempfile.TemporaryDirectory(prefix="armtorch-benchmark-") as name:
        folder = Path(name)
        project = Project(feedstock=Path(feedstock), narrator=Silent())
        recorded.write(project, folder)
        records = _enlarge(folder / "conda-forge")
        size = sum(path.stat().st_size for path in (folder / "conda-forge").rglob("*.json"))
        cached = replace(project, cache=folder / "cache")
        with _serving(folder) as alias:
            cold, _, _ = _timed(cached, _COMMANDS[0], alias)
            seconds, cpu = {}, {}
            for command in _COMMANDS:
                seconds[command], cpu[command], found = _timed(cached, command, alias)
                assert found.outcome == "fails", command
                assert found.commands, command
    print(
        json.dumps(
            {
                "records": records,
                "repodata_bytes": size,
                "cold_seconds": round(cold, 2),
                "warm_seconds": {key: round(value, 2) for key, value in seconds.items()},
                "slowest_warm_seconds": round(max(seconds.values()), 2),
                # the server is in the same process; on a busy machine this says more
                "slowest_warm_cpu_seconds": round(max(cpu.values()), 2),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
