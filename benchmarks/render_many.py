"""Renders a feedstock of at least so many variants, made by repeating the real lock's cells."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from generator.console import Silent
from generator.model import Cell, Lock
from generator.project import Project
from generator.rendering import check_tree, number_builds, render


def _repeat(cell: Cell, copy: int) -> Cell:
    """Return the cell as a release of its own, so that no two packages have one name."""
    if copy == 0:
        return cell
    return replace(
        cell,
        line=f"{cell.line}.{copy}",
        trio={project: f"{version}.post{copy}" for project, version in cell.trio.items()},
        wheels=tuple(
            # its METADATA asks for the real version of torch, which this one is not
            replace(
                wheel, version=f"{wheel.version}.post{copy}", metadata=f"{wheel.metadata}-repeated"
            )
            for wheel in cell.wheels
        ),
    )


def main(feedstock: str, count: str, mode: str) -> None:
    project = Project(feedstock=Path(feedstock), narrator=Silent())
    declared, lock = project.declared(), project.locked()
    repeated, copies = lock, 1
    while len(render(declared, repeated).variants) < int(count):
        copies += 1
        cells = tuple(_repeat(cell, copy) for copy in range(copies) for cell in lock.cells)
        metadata = {
            **lock.metadata,
            **{
                f"{key}-repeated": replace(
                    known,
                    requires_dist=tuple(
                        line for line in known.requires_dist if not line.startswith("torch")
                    ),
                )
                for key, known in lock.metadata.items()
            },
        }
        repeated = number_builds(declared, replace(lock, cells=cells, metadata=metadata), Lock())
    started, cpu = time.monotonic(), time.process_time()
    tree = render(declared, repeated)
    rendered, rendered_cpu = time.monotonic() - started, time.process_time() - cpu
    if mode == "checked":
        check_tree(tree)
    print(
        json.dumps(
            {
                "variants": len(tree.variants),
                "files": len(tree.files),
                "render_seconds": round(rendered, 2),
                "with_checks_seconds": round(time.monotonic() - started, 2),
                "with_checks_over_render_cpu": round((time.process_time() - cpu) / rendered_cpu, 2),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
