"""Renders a feedstock of at least so many variants, made by repeating the real lock's cells."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from generator.console import Silent
from generator.model import Lock
from generator.rendering import check_tree, number_builds, render
from generator.stages.project import Project


def main(feedstock: str, count: str, mode: str) -> None:
    project = Project(feedstock=Path(feedstock), narrator=Silent())
    declared, lock = project.declared(), project.locked()
    repeated, copies = lock, 1
    while len(render(declared, repeated).variants) < int(count):
        copies += 1
        cells = tuple(
            replace(cell, line=cell.line if copy == 0 else f"{cell.line}.{copy}")
            for copy in range(copies) for cell in lock.cells
        )
        repeated = number_builds(declared, replace(lock, cells=cells), Lock())
    started = time.monotonic()
    tree = render(declared, repeated)
    rendered = time.monotonic() - started
    if mode == "checked":
        check_tree(tree)
    print(json.dumps({"variants": len(tree.variants), "files": len(tree.files),
                      "render_seconds": round(rendered, 2),
                      "with_checks_seconds": round(time.monotonic() - started, 2)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
