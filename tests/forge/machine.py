"""The sysroot, and how a program of an installed prefix is run on this machine."""

import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rattler import BuildString, GenericVirtualPackage, PackageName, Version

from tests.forge import debian, declaration
from tests.forge.channel import Report, default_cache, read_stamp, replace_folder
from tests.forge.errors import ForgeError

# `max` has what any ARMv8 or ARMv9 program may ask for. Debian's newer binaries sign their return
# addresses; pauth-impdef replaces the slow architected cipher (measured: 4 times faster Python).
_CPU = "max,pauth-impdef=on"
_MERGED = ("bin", "lib", "sbin")


@dataclass(frozen=True)
class Emulation:
    """How to start an aarch64 program here: a command in front of it, and variables."""

    runner: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, prefix: Path, program: str, *arguments: str) -> list[str]:
        """The command line that runs a program of a prefix."""
        return [*self.runner, str(prefix / "bin" / program), *arguments]

    def variables(self, prefix: Path) -> dict[str, str]:
        """The whole environment of such a run, without what would reach into the host's Python."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "LD_", "VIRTUAL_ENV", "CONDA", "PIP_"))
        }
        path = os.pathsep.join([str(prefix / "bin"), kept.get("PATH", os.defpath)])
        return {**kept, "CONDA_PREFIX": str(prefix), "PATH": path, **self.environment}


def sysroot(
    cache: Path | None = None,
    *,
    out: Path | None = None,
    report: Report = lambda _line: None,
) -> Path:
    """Make the folder with the aarch64 loader and C library, unless it is there already.

    It holds glibc and nothing more: libstdc++, libgcc_s and libgomp must come out of the prefix
    under test, as on a machine that has none of its own.
    """
    cache = (cache or default_cache()).resolve()
    out = (out or cache / "sysroot").resolve()
    replace_folder(out, cache, _filler(cache, report), report)
    return out


def emulation(sysroot_folder: Path) -> Emulation | None:
    """The way to run aarch64 programs here, None when there is none.

    QEMU_LD_PREFIX and QEMU_CPU serve the programs that an emulated program starts: those go
    through binfmt_misc, where no runner can be named.
    """
    if platform.machine() == "aarch64" and sys.platform == "linux":
        return Emulation(())
    for name in ("qemu-aarch64-static", "qemu-aarch64"):
        found = shutil.which(name)
        if found:
            runner = (found, "-cpu", _CPU, "-L", str(sysroot_folder))
            variables = {"QEMU_LD_PREFIX": str(sysroot_folder), "QEMU_CPU": _CPU}
            return Emulation(runner, variables)
    return None


def glibc_version(sysroot_folder: Path) -> str:
    """The version of the sysroot's C library, which a solver must be told of."""
    glibc = read_stamp(sysroot_folder).get("glibc")
    if glibc is None:
        msg = f"{sysroot_folder} is no sysroot of the forge; make it with forge.sysroot()"
        raise ForgeError(msg)
    return glibc


def virtual_packages(
    *, glibc: str | None = None, osx: str | None = None, cuda: str | None = None
) -> list[GenericVirtualPackage]:
    """What a solver is to assume of an ARM machine (CEP 30): Linux with `glibc`, or macOS.

    The machine the tests run on has another processor, so nothing may be detected here.
    """
    versions = {"__unix": "0", "__archspec": "1"}
    builds = {"__archspec": "aarch64"}
    if osx:
        versions["__osx"] = osx
        builds["__archspec"] = "m1"
    if glibc:
        versions |= {"__linux": "5.15", "__glibc": glibc}
    if cuda:
        versions["__cuda"] = cuda
    return [
        GenericVirtualPackage(
            PackageName(name), Version(version), BuildString(builds.get(name, "0"))
        )
        for name, version in versions.items()
    ]


def _filler(cache: Path, report: Report) -> Callable[[Path], dict[str, str]]:
    def fill(folder: Path) -> dict[str, str]:
        row = declaration.load().sysroot
        # bookworm's debs still say lib/, trixie's usr/lib/: both end up in one place
        for name in _MERGED:
            (folder / "usr" / name).mkdir(parents=True)
            (folder / name).symlink_to(f"usr/{name}")
        debs = debian.fetch({row.suite: row.debs}, cache)
        for deb in debs.values():
            for source in sorted(deb.folder.rglob("*")):
                _place(source, folder / source.relative_to(deb.folder))
        version = debs[row.suite, row.debs[0]].upstream_version
        report(f"sysroot with glibc {version} written")
        return {"glibc": version}

    return fill


def _place(source: Path, target: Path) -> None:
    if "doc" in source.parts:
        return
    if source.is_symlink():
        if not target.is_symlink():
            target.symlink_to(source.readlink())
    elif source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
