"""Virtual packages that a wheel's platform tags and accelerator stand for.

Sources: PEP 600 (manylinux_x_y: glibc x.y or newer), PEP 599 and 571 (the older names of 2.17 and
2.12), PEP 425 (macosx_x_y: macOS x.y or newer), CEP 30 (``__glibc``, ``__osx``, ``__cuda``,
``__win``).
"""

from __future__ import annotations

import re
from typing import Final

from generator.errors import AbsentError, MalformedError
from generator.model.accelerator import Accelerator
from generator.model.subdir import Subdir

_FLOOR: Final = re.compile(r"(?P<kind>manylinux|macosx)_(?P<major>\d+)_(?P<minor>\d+)_\w+")
#: PEP 600, "Legacy manylinux tags"
_LEGACY: Final = {"manylinux2014": (2, 17), "manylinux2010": (2, 12)}


def virtual_packages(
    platforms: tuple[str, ...], *, subdir: Subdir, accelerator: Accelerator, glibc: str = ""
) -> tuple[str, ...]:
    """Return the virtual packages a wheel asks for, as MatchSpecs.

    Of several tags the lowest floor counts, since any one of them admits the wheel (PEP 425).
    ``linux_aarch64`` promises nothing about glibc: no ``__glibc`` is returned for it, and the
    floor is what ``glibc`` says, which is known of the wheel's index; the higher of the two
    counts. The build holds the binaries against it, and raises it in the package. CUDA asks for its
    major version, since drivers serve every minor of it (CUDA minor version compatibility).
    Raises AbsentError: it is for any platform. Raises MalformedError: a tag is of no such subdir.

    >>> from generator.datafiles import subdirs
    >>> arm = subdirs()["linux-aarch64"]
    >>> virtual_packages(("manylinux_2_28_aarch64",), subdir=arm,
    ...                  accelerator=Accelerator.parse("cuda130"))
    ('__glibc >=2.28', '__cuda >=13')
    """
    found: list[str] = []
    lowest = _raised(floor(platforms, subdir=subdir), glibc)
    if subdir.os == "win":
        found.append("__win")
    elif lowest is not None:
        name = "__glibc" if subdir.os == "linux" else "__osx"
        found.append(f"{name} >={lowest[0]}.{lowest[1]}")
    if accelerator.cuda is not None:
        found.append(f"__cuda >={accelerator.cuda[0]}")
    return tuple(found)


def _raised(tagged: tuple[int, int] | None, glibc: str) -> tuple[int, int] | None:
    """Return the higher of what the tags say and what is known beside them."""
    if not glibc:
        return tagged
    major, minor = glibc.split(".")
    return max(tagged or (0, 0), (int(major), int(minor)))


def floor(platforms: tuple[str, ...], *, subdir: Subdir) -> tuple[int, int] | None:
    """Return the lowest glibc or macOS version that the tags admit; None where none says one.

    Raises AbsentError: it is for any platform. Raises MalformedError: a tag is of no such subdir.
    """
    floors = []
    for platform in platforms:
        if platform == "any":
            raise AbsentError(
                "upstream has a wheel for any platform, which is the base channel's business",
                where="wheel file name",
                next_step="install that one's package: docs/companions.md, What needs no package",
            )
        if not any(re.fullmatch(pattern, platform) for pattern in subdir.wheel_platforms):
            raise MalformedError(
                f"platform tag {platform!r} is not one of {subdir}",
                where="wheel file name",
                next_step="see wheel_platforms in generator/data/subdirs.yaml",
            )
        if (match := _FLOOR.fullmatch(platform)) is not None:
            floors.append((int(match["major"]), int(match["minor"])))
        elif (legacy := _LEGACY.get(platform.split("_", 1)[0])) is not None:
            floors.append(legacy)
        else:
            return None
    return min(floors, default=None)
