"""The cross compiler that programs for linux-aarch64 are built with (tests/emulator.sh)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from generator.errors import MissingToolError

#: Debian's names for the target, on any machine and on an ARM one too
_TARGET = "aarch64-linux-gnu"


@dataclass(frozen=True)
class CrossTools:
    """Programs of this machine that build for linux-aarch64."""

    gcc: Path
    gxx: Path
    cmake: Path

    def compiler(self, name: str) -> list[str | Path]:
        """Return the words that start a C++ compiler for the target: ``g++`` or ``clang++``.

        Raises:
            MissingToolError: it is not there.

        """
        # clang takes the C++ library of the other one
        return [self.gxx] if name == "g++" else [_find(name), f"--target={_TARGET}"]


def find_cross_tools() -> CrossTools:
    """Find the tools on PATH.

    Raises:
        MissingToolError: one of them is not there; the message says how to install it.

    """
    return CrossTools(
        gcc=_find(f"{_TARGET}-gcc"), gxx=_find(f"{_TARGET}-g++"), cmake=_find("cmake")
    )


def _find(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise MissingToolError(
            f"{name} is not installed",
            where="PATH",
            next_step="make emulator, or apt-get install g++-aarch64-linux-gnu cmake make; "
            "clang and libomp-dev are asked for by `make prove`",
        )
    return Path(found)
