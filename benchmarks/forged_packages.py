"""Changes packages header by header, and counts what `verify` and the clients' readers make of it.

``python -m benchmarks.forged_packages COUNT``: builds the packages of tiny wheels, changes them so
many times, and holds `armtorch verify` against rattler's extraction and conda's.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.differential import compare
from tests.packages import tiny_channel

#: of each kind one: libraries, an extension, pure files, nothing
NAMES = ("libtorch-9.1", "pytorch-9.1.0-cpu_generic_py311", "torchvision-0.92", "cpuonly-")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="armtorch-benchmark-") as name:
        root, out, folder = (Path(name) / part for part in ("repo", "out", "mutated"))
        for each in (root, folder):
            each.mkdir()
        tiny = tiny_channel(root, out)
        packages = [
            (path, tiny.everything(path.name))
            for path in tiny.packages
            if path.name.startswith(NAMES)
        ]
        figures = compare(packages, int(sys.argv[1]), folder, seed=20261129, all_readers=True)
        for said in figures.fooled:
            print(said, file=sys.stderr)
        print(json.dumps(figures.to_json()))


if __name__ == "__main__":
    main()
