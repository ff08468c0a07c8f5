"""Reads and moves shared libraries: what they need, what they are, where they look."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from generator.debian import binaries as debian_binaries
from generator.inspecting.binary import Binary
from generator.inspecting.reading import read_binary

__all__ = ["SYSTEM_LIBRARIES", "Needs", "adopt", "binaries", "needs"]

# glibc's own libraries, which the sysroot provides, and what NVIDIA's driver brings
SYSTEM_LIBRARIES = frozenset(
    f"{name}"
    for name in (
        "ld-linux-aarch64.so.1",
        "libc.so.6",
        "libcuda.so.1",
        "libdl.so.2",
        "libm.so.6",
        "libpthread.so.0",
        "libresolv.so.2",
        "librt.so.1",
        "libutil.so.1",
    )
)


@dataclass(frozen=True)
class Needs:
    """What one binary asks of others."""

    libraries: tuple[str, ...]
    glibc: tuple[int, int]


def binaries(tree: Path) -> Iterator[Path]:
    """Every ELF file under a folder that is no link."""
    for path, _ in debian_binaries.binaries(tree):
        yield path


def needs(path: Path) -> Needs:
    """Read DT_NEEDED and the highest GLIBC version of a binary."""
    binary = _read(path)
    floor = (*binary.floor, 0, 0)
    glibc = max((2, 17), (floor[0], floor[1]))
    return Needs(tuple(load.name for load in binary.needs), glibc)


def adopt(path: Path, prefix: Path) -> None:
    """Make a binary look for libraries in its prefix, under the names before auditwheel."""
    debian_binaries.adopt(path, _read(path), prefix)


def _read(path: Path) -> Binary:
    with path.open("rb") as file:
        (binary,) = read_binary(file, path.stat().st_size, str(path))
    return binary
