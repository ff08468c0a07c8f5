"""``lint``: recipes against the rules, and against conda-smithy's own where it is installed."""

from __future__ import annotations

import posixpath
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from generator.project import Project
from generator.rendering.recipe_rules import RecipeFolder, RuleFinding, judge
from generator.rendering.tree import RenderedTree, render


@dataclass(frozen=True, kw_only=True)
class RecipeLint:
    """What was found, and what conda-smithy said."""

    recipes: int
    findings: tuple[RuleFinding, ...]
    #: recipe -> conda-smithy's output; None where conda-smithy is not installed
    smithy: dict[str, str] | None


def lint_recipes(project: Project) -> RecipeLint:
    """Hold every recipe of the lock against the rules.

    Raises:
        LockError, FeedstockError, RenderError: recipes cannot be rendered.

    """
    tree = project.made(render)
    found = [recipe_folder(path, files) for path, files in recipe_files_of(tree).items()]
    return RecipeLint(
        recipes=len(found),
        findings=judge(found),
        smithy=_smithy(project, [each.path for each in found]),
    )


def recipe_files_of(tree: RenderedTree) -> dict[str, dict[str, bytes]]:
    """Return the files of every recipe folder, by folder and name."""
    found: dict[str, dict[str, bytes]] = {
        posixpath.dirname(variant.recipe_path): {} for variant in tree.variants
    }
    for path, content in tree.files.items():
        if (folder := posixpath.dirname(path)) in found:
            found[folder][posixpath.basename(path)] = content
    return found


def recipe_folder(path: str, files: dict[str, bytes]) -> RecipeFolder:
    """Read a recipe's files as the rules want them."""
    text = files["recipe.yaml"].decode("utf-8")
    return RecipeFolder(
        path=path, text=text, recipe=YAML(typ="safe", pure=True).load(text), files=frozenset(files)
    )


def _smithy(project: Project, paths: list[str]) -> dict[str, str] | None:
    """Run ``conda-smithy recipe-lint`` on committed recipes, where this Python has it."""
    program = Path(sys.executable).with_name("conda-smithy")
    if not program.exists():
        return None
    said = {}
    for path in paths:
        done = subprocess.run(
            [program, "recipe-lint", path],
            cwd=project.root,
            capture_output=True,
            text=True,
            check=False,
        )
        said[path] = done.stdout + done.stderr
    return said
