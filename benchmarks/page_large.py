"""Writes the page of a channel that has as many records as a large one, and no files."""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import run_module
from generator.channel import LocalChannel
from generator.console import Silent
from generator.page.gathering import write_page
from generator.project import Project

SUBDIR = "linux-aarch64"
_BUILDS = 20


def main() -> None:
    """Print the cost; or, called by itself, write the page of a channel that is there."""
    feedstock, last = Path(sys.argv[1]), sys.argv[2]
    if not last.isdigit():
        started = time.process_time()
        project = Project(feedstock=feedstock, narrator=Silent())
        write_page(project, LocalChannel(Path(last)), Path(last, "page"), "mine")
        print(json.dumps({"cpu_seconds": round(time.process_time() - started, 2)}))
        return
    with tempfile.TemporaryDirectory(prefix="armtorch-benchmark-") as name:
        repodata = Path(name, SUBDIR, "repodata.json")
        repodata.parent.mkdir()
        # a record at a time: a process begins with the memory of the one that started it
        with repodata.open("w") as file:
            file.write(f'{{"info":{{"subdir":"{SUBDIR}"}},"packages":{{}},"packages.conda":')
            before = "{"
            for file_name, row in _records(int(last), random.Random(1)):
                file.write(f'{before}"{file_name}":{json.dumps(row, separators=(",", ":"))}')
                before = ","
            file.write("}}")
        cost, figures = run_module("benchmarks.page_large", str(feedstock), name)
        figures = {
            "records": int(last),
            "repodata_bytes": repodata.stat().st_size,
            "pages": len(list(Path(name, "page", "packages").iterdir())),
            "page_seconds": round(cost.wall_seconds, 2),
            "page_cpu_seconds": figures["cpu_seconds"],
            "peak_mib": round(cost.peak_mib),
        }
    print(json.dumps(figures))


def _records(number: int, chance: random.Random) -> Iterator[tuple[str, dict[str, object]]]:
    for count in range(number):
        name, version = f"m{count // _BUILDS:05}", f"1.{count % _BUILDS}"
        build = f"h{chance.getrandbits(28):07x}_0"
        yield (
            f"{name}-{version}-{build}.conda",
            {
                "build": build,
                "build_number": 0,
                "constrains": ["other <2"],
                "depends": ["python >=3.11,<3.12.0a0", "__glibc >=2.17", "libfoo >=1.2,<2.0a0"],
                "license": "BSD-3-Clause",
                "md5": f"{chance.getrandbits(128):032x}",
                "name": name,
                "sha256": f"{chance.getrandbits(256):064x}",
                "size": chance.randrange(10_000, 10_000_000),
                "subdir": SUBDIR,
                "timestamp": 1_700_000_000_000 + count,
                "version": version,
            },
        )


if __name__ == "__main__":
    main()
