"""Puts a finished wheel into the folder of an index, with an account of what it is made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from generator.atomic import write_bytes, write_text
from generator.compiling.toolchain import Toolchain
from generator.compiling.tree import INSIDE, Tree
from generator.errors import BuildError
from generator.feedstock import Source


def wheel_name(source: Source, toolchain: Toolchain) -> str:
    """Return the file name of a row's wheel."""
    abi = f"cp{source.python.replace('.', '')}"
    return f"{source.project}-{source.full_version}-{abi}-{abi}-{toolchain.platform}.whl"


def setup_command(
    tree: Tree, python: Sequence[str], toolchain: Toolchain, variables: Mapping[str, str]
) -> list[str]:
    """Return the command by which setup.py makes the wheel in the tree's ``dist``."""
    settings = {**toolchain.environment, **variables}
    return tree.command(
        *("/usr/bin/env", f"--chdir={INSIDE}/source"),
        *(f"{name}={value}" for name, value in settings.items()),
        *(*python, "setup.py", "bdist_wheel", "--dist-dir", f"{INSIDE}/dist"),
    )


def keep_wheel(
    tree: Tree,
    source: Source,
    toolchain: Toolchain,
    patches: tuple[Path, ...],
    upon: Mapping[str, str],
    out: Path,
) -> tuple[Path, str]:
    """Put the wheel that setup.py made into ``out``; return its place there and its sha256.

    Raises BuildError: setup.py made another wheel than it should.
    """
    name = wheel_name(source, toolchain)
    made = tree.folder / "dist" / name
    if not made.is_file():
        found = ", ".join(path.name for path in made.parent.glob("*.whl")) or "none"
        raise BuildError(
            f"setup.py was to make {name}, and made {found}",
            where=str(made.parent),
            next_step="mend the row's environment: versions and tags come from there",
        )
    content = made.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    account = provenance(tree, source, patches, upon, sha256)
    write_text(
        out / f"{name}.provenance.json", json.dumps(account, indent=1, sort_keys=True) + "\n"
    )
    write_bytes(out / name, content)
    return out / name, sha256


def provenance(
    tree: Tree, source: Source, patches: tuple[Path, ...], upon: Mapping[str, str], sha256: str
) -> dict[str, Any]:
    """Say what a wheel is made of; nothing in it is of the machine."""
    row = asdict(source)
    row["upon"] = dict(upon)
    row["patches"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in patches}
    return {
        "format": 1,
        "sha256": sha256,
        "source": row,
        "compiler": tree.root.compiler,
        "packages": {each.file: each.sha256 for each in tree.root.packages},
    }
