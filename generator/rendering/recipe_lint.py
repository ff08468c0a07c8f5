"""``lint``: what conda-smithy itself says of the recipes, where it is installed."""

from __future__ import annotations

import posixpath
import subprocess
import sys
from pathlib import Path

from generator.project import Project
from generator.rendering.tree import render


def smithy_says(project: Project) -> dict[str, str] | None:
    """Return conda-smithy's output by recipe; None where this Python does not have it."""
    program = Path(sys.executable).with_name("conda-smithy")
    if not program.exists():
        return None
    said = {}
    for path in {posixpath.dirname(each.recipe_path) for each in project.made(render).variants}:
        done = subprocess.run(
            [program, "recipe-lint", path],
            cwd=project.root,
            capture_output=True,
            text=True,
            check=False,
        )
        said[path] = done.stdout + done.stderr
    return dict(sorted(said.items()))
