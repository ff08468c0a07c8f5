"""A builder to compare with another: `python -m tests.reproducing <folder> <jobs> <order>`.

Prints name and sha256 of every package that it builds in ``folder``, whose wheels are made there
anew, with times of their own.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from generator.building import Settings
from generator.channel import LocalChannel
from tests.packages import tiny_repo
from tests.tiny_recipes import build_all


def main(root: Path, jobs: int, order: str) -> None:
    tree, _ = tiny_repo(root)
    when = int(os.environ.get("FILES_OF", "0"))
    for path in root.rglob("*"):
        if when and path.is_file():
            os.utime(path, (when, when))
    variants = tree.variants if order == "forwards" else tuple(reversed(tree.variants))
    channel = LocalChannel(root / "channel")
    settings = Settings(repo=root, wheelhouse=root / "wheelhouse", level=12, jobs=jobs)
    report = build_all(variants, channel=channel, settings=settings)
    report.raise_for_failures()
    found = {f"{row.subdir}/{row.file_name}": row.sha256 for row in report.rows}
    print(json.dumps(found, sort_keys=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
