"""What py-rattler's older minors call otherwise.

armtorch is made with one minor of it (pyproject.toml). What explains an install runs beside conda,
whose own solver asks for another one: conda-forge's conda 26.7 needs conda-rattler-solver, of which
0.2.0 takes py-rattler 0.26 and no other.
"""

from __future__ import annotations

__all__ = ["BuildString", "RattlerSubdir", "SubdirLiteral"]

try:
    from rattler.platform import Subdir as RattlerSubdir
    from rattler.platform import SubdirLiteral
except ImportError:  # before 0.27
    from rattler.platform import Platform as RattlerSubdir
    from rattler.platform.platform import (  # type: ignore[import-not-found, no-redef]
        PlatformLiteral as SubdirLiteral,
    )
try:
    from rattler import BuildString
except ImportError:  # before 0.28 it is a text
    BuildString = str  # type: ignore[assignment, misc]
