"""Brings the wheels of one cell into the wheelhouse, so that builds can be timed without it."""

from __future__ import annotations

import sys
from pathlib import Path

from generator.console import Plain
from generator.project import Project
from generator.upstream.reaching import fetch_wheels


def main(feedstock: str, line: str, subdir: str, accelerator: str) -> None:
    project = Project(feedstock=Path(feedstock), narrator=Plain())
    place = (line, subdir, accelerator)
    wheels = [
        wheel
        for cell in project.locked().cells
        if (cell.line, cell.subdir, str(cell.accelerator)) == place
        for wheel in cell.wheels
    ]
    fetch_wheels(project, project.declared(), wheels, jobs=4)


if __name__ == "__main__":
    main(*sys.argv[1:])
