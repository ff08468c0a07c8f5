"""What tests need of a base that is made of Debian's packages: the .debs, and a C library."""

from __future__ import annotations

from pathlib import Path

from generator.debian import Deb, Pinned
from generator.project import Project

ARM = "linux-armv7l"


def debs_of(project: Project, work: Path) -> dict[str, Deb]:
    """Return the .debs that were fetched for the locked base; they are unpacked in ``work``."""
    found = {}
    for pin in map(Pinned.of, project.locked().base[ARM]):
        path = project.wheelhouse / pin.sha256[:16] / pin.filename
        if pin.architecture:
            found[pin.name] = Deb(pin.name, pin.version, pin.architecture, path, pin.sha256, work)
    return found


def sysroot_of(debs: dict[str, Deb], folder: Path) -> Path:
    """Lay out the C library, and nothing else of Debian's."""
    (folder / "usr").symlink_to(debs["libc6"].folder / "usr")
    (folder / "lib").symlink_to("usr/lib")
    return folder
