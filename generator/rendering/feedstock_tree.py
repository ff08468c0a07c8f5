"""``export-feedstock``: one recipe as a feedstock of its own, as conda-smithy expects one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from generator.atomic import write_bytes
from generator.documents import load_json
from generator.errors import SelectionError, StorageError
from generator.project import Project
from generator.rendering.tree import RenderedTree, render
from generator.rendering.unpacking import FOLDER as UNPACKER
from generator.rendering.unpacking import SCRIPTS
from generator.rendering.variant_files import ci_support_text, skipped, variants_text, zip_groups

#: the first line of what a recipe skips
_SKIPS: Final = re.compile(rb"^    - target_platform not in .*\n", re.MULTILINE)

_README: Final = """\
# {name}-feedstock
Written by `armtorch export-feedstock {line}/{name}`; change the recipe there, not here.

This repacks official binary wheels of PyTorch for a channel of one's own. conda-forge takes no
compiled wheels as sources (conda-smithy R-028), so this is not for conda-forge.

The wheels are not part of this tree. `armtorch build '{line}/{name}/*'` fetches them and checks
their sha256; copy or link its `wheelhouse` folder here, then:

    rattler-build build --recipe recipe --variant-config .ci_support/{config}
    conda-smithy rerender
"""


def export_feedstock(project: Project, name: str, folder: Path) -> tuple[str, ...]:
    """Write a recipe, its variant configs and conda-forge.yml into an empty folder.

    ``name`` is ``<line>/<package>``. Returned are the files' paths in the folder.
    Raises SelectionError: there is no such recipe. StorageError: the folder is not empty, or cannot
    be written.
    """
    tree = project.made(render)
    files: dict[str, bytes] = {}
    for path, content in tree.files.items():
        if path.startswith(f"recipes/{name}/"):
            # a wheel is named by its place below the repository, which is nearer from here
            moved = content.replace(b"../../../wheelhouse/", b"../wheelhouse/")
            # and the unpacker goes along
            moved = moved.replace(b"file: ../../_unpack/", b"file: _unpack/")
            files[f"recipe/{path.rpartition('/')[2]}"] = moved
    if not files:
        known = sorted({f"{v.line}/{v.package}" for v in tree.variants})
        raise SelectionError(
            "there is no such recipe",
            where=name,
            next_step=f"write <line>/<package>, one of {', '.join(known)}",
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise StorageError(
            "the folder is not empty", where=str(folder), next_step="name a new folder"
        )
    if b"file: _unpack/" in files["recipe/recipe.yaml"]:
        files |= _unpacker(tree, files["recipe/layout.json"])
    line, _, package = name.partition("/")
    mine = [each for each in tree.variants if (each.line, each.package) == (line, package)]
    zipped = zip_groups(mine)
    for each in mine:
        files[f".ci_support/{each.stem}.yaml"] = ci_support_text(each, zipped).encode()
    files["recipe/variants.yaml"] = variants_text(mine, exported=True).encode()
    rows = "".join(f"    - {condition}\n" for condition in skipped(mine))
    files["recipe/recipe.yaml"] = _SKIPS.sub(
        lambda found: found[0] + rows.encode(), files["recipe/recipe.yaml"], count=1
    )
    config = min(path for path in files if path.startswith(".ci_support/")).partition("/")[2]
    files["conda-forge.yml"] = tree.files["conda-forge.yml"]
    files["README.md"] = _README.format(name=package, line=line, config=config).encode()
    for path, content in sorted(files.items()):
        write_bytes(folder / path, content)
    return tuple(sorted(files))


def _unpacker(tree: RenderedTree, layout: bytes) -> dict[str, bytes]:
    """Return the unpacker inside the recipe's folder, with what this recipe asks for beside it."""
    told = load_json(layout, "layout.json")
    names = {
        *SCRIPTS,
        *(f"licenses/{name}" for row in told["bundled_licenses"] for name in row["texts"]),
        *(row["from"] for row in told["test_files"].values()),
    }
    return {f"recipe/_unpack/{name}": tree.files[f"{UNPACKER}/{name}"] for name in sorted(names)}
