"""What setup.py needs that is run by the target's own Python, upon another row's wheel.

torch.utils.cpp_extension asks the torch that it is imported from where headers and libraries are,
and setuptools its Python for names and flags. So both are the target's, under qemu; the compiler
that they call is the machine's: what a program starts under qemu-user runs on the machine itself.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from generator.atomic import write_text
from generator.compiling.running import run
from generator.compiling.toolchain import Toolchain, toolchain_of
from generator.compiling.tree import INSIDE, Tree
from generator.compiling.wheel import setup_command, wheel_name
from generator.errors import BuildError, FeedstockError
from generator.feedstock import Source

#: where the wheel lies in the tree
_UPON: Final = "upon"
#: where the root has the target's Python, whose package stands aside
_PYTHON: Final = "/target/usr/bin/python"


def wheel_upon(source: Source, rows: Mapping[str, Source], out: Path) -> dict[str, str]:
    """Return the name and sha256 of the wheel that a row is compiled upon; {} where it is of none.

    Raises FeedstockError: there is no such row for this Python. Raises BuildError: its wheel is
    not in ``out``.
    """
    if source.upon is None:
        return {}
    other = rows.get(source.upon)
    if other is None or _machine(other) != _machine(source):
        raise FeedstockError(
            f"{source.project} is compiled upon {source.upon}, and there is no such row for "
            f"{source.subdir}, {source.suite} and Python {source.python}",
            where="feedstock.yaml, sources",
            next_step="write that row, or leave `upon` out",
        )
    wheel = out / wheel_name(other, toolchain_of(other))
    if not wheel.is_file():
        raise BuildError(
            f"{source.project} is compiled upon a wheel that is not there",
            where=str(wheel),
            next_step=f"make it first: armtorch compile {source.upon} --out {out}",
        )
    with wheel.open("rb") as file:
        return {wheel.name: hashlib.file_digest(file, "sha256").hexdigest()}


def _machine(row: Source) -> tuple[str, str, str]:
    return row.subdir, row.suite, row.python


def lay_wheel(tree: Tree, upon: Mapping[str, str], out: Path) -> None:
    """Unpack the wheel into the tree, once; raises BuildError."""
    done = tree.folder / "laid"
    if done.is_file():
        return
    for name in upon:
        shutil.rmtree(tree.folder / _UPON, ignore_errors=True)
        shutil.copy2(out / name, tree.folder / name)
        run(tree.command("python3", "-m", "zipfile", "-e", f"{INSIDE}/{name}", f"{INSIDE}/{_UPON}"))
        (tree.folder / name).unlink()
    write_text(done, "")


def emulated_setup(
    tree: Tree, source: Source, toolchain: Toolchain, flags: str, jobs: int
) -> list[str]:
    """Return the command that compiles and packs a row so."""
    emulator = toolchain.cmake["CMAKE_CROSSCOMPILING_EMULATOR"]
    return setup_command(
        tree,
        (emulator, f"{_PYTHON}{source.python}"),
        toolchain,
        {
            "PYTHONHOME": "/usr",
            "PYTHONPATH": f"{INSIDE}/{_UPON}",
            "CFLAGS": flags,
            "CXXFLAGS": flags,
            # of torch.utils.cpp_extension, and of CMake where setup.py calls it
            "MAX_JOBS": str(jobs),
            "CMAKE_BUILD_PARALLEL_LEVEL": str(jobs),
            "CMAKE_TOOLCHAIN_FILE": f"{INSIDE}/toolchain.cmake",
        },
    )
