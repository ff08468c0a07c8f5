"""How programs of a subdir are run on this machine: natively, through binfmt, or not at all."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from generator.errors import MissingToolError
from generator.model import Subdir

RunMode = Literal["native", "binfmt", "qemu", "none"]

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
#: all features of every ARM level that qemu knows, so that no wheel dies of SIGILL here; its own
#: pointer authentication instead of the standard one, which qemu computes four times slower
_CPU = {"aarch64": "max,pauth-impdef=on"}


@dataclass(frozen=True, kw_only=True)
class Runner:
    """The way programs of one subdir run here."""

    mode: RunMode
    #: plain words for reports
    description: str
    #: put before the program when mode is ``qemu``
    prefix: tuple[str, ...] = ()
    #: added to the program's environment
    environment: tuple[tuple[str, str], ...] = ()

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs ``argv``, whose first word is a path."""
        return [*self.prefix, *argv]

    @property
    def runs(self) -> bool:
        """Whether programs can be run at all."""
        return self.mode != "none"


def native_subdir() -> str:
    """Name conda's subdir of the running interpreter (CEP 30's table of platforms)."""
    machine = platform.machine().lower()
    if sys.platform == "darwin":
        return "osx-arm64" if machine == "arm64" else "osx-64"
    if sys.platform == "win32":
        return "win-arm64" if machine == "arm64" else "win-64"
    return {"aarch64": "linux-aarch64", "armv7l": "linux-armv7l"}.get(machine, "linux-64")


def choose_runner(
    subdir: Subdir,
    *,
    sysroot: Path | None = None,
    search: str | None = None,
    binfmt: Path = _BINFMT,
) -> Runner:
    """Choose how to run programs of ``subdir``.

    ``sysroot`` is a folder with the loader and C library of a foreign Linux, needed where the
    machine itself has none.
    Raises MissingToolError: the subdir could be emulated, but the emulator or the C library is not
    here.
    """
    if subdir.name == native_subdir():
        return Runner(mode="native", description="natively")
    if subdir.os != "linux" or sys.platform != "linux" or subdir.emulator_arch is None:
        return Runner(mode="none", description=f"not run: {subdir.name} cannot be emulated here")
    _require_libc(subdir, sysroot)
    arch = subdir.emulator_arch
    settings = [("QEMU_CPU", _CPU.get(arch, "max"))]
    if sysroot is not None:
        settings.append(("QEMU_LD_PREFIX", str(sysroot)))
    registered = binfmt / f"qemu-{arch}"
    if registered.exists() and "enabled" in registered.read_text(encoding="ascii"):
        return Runner(
            mode="binfmt",
            description=f"emulated by qemu-{arch} through binfmt_misc",
            environment=tuple(settings),
        )
    for name in (f"qemu-{arch}-static", f"qemu-{arch}"):
        if (found := shutil.which(name, path=search)) is not None:
            return Runner(
                mode="qemu",
                description=f"emulated by {name}",
                prefix=(found,),
                environment=tuple(settings),
            )
    raise MissingToolError(
        f"no emulator for {subdir.name}",
        where="PATH and binfmt_misc",
        next_step="install qemu-user-static (make emulator), or test on a machine of that kind",
    )


def _require_libc(subdir: Subdir, sysroot: Path | None) -> None:
    loader = subdir.loader or ""
    if sysroot is not None and not (sysroot / loader).exists():
        raise MissingToolError(
            f"the sysroot has no {loader}",
            where=str(sysroot),
            next_step="make one with: python -m tests.forge sysroot --out DIR",
        )
    if sysroot is None and not Path("/", loader).exists():
        raise MissingToolError(
            f"there is no C library for {subdir.name} on this machine",
            where=f"/{loader}",
            next_step="name a folder that has one with --sysroot",
        )


def sysroot_glibc(sysroot: Path) -> str | None:
    """Return the version of a sysroot's glibc, as the virtual package ``__glibc`` has it (CEP 30).

    libc.so.6 names itself: "GNU C Library (...) stable release version 2.41."
    """
    for folder in ("lib", "usr/lib", "lib64"):
        for path in sorted((sysroot / folder).glob("**/libc.so.6")):
            found = re.search(rb"GNU C Library [^\n]*? version (\d+\.\d+)", path.read_bytes())
            if found is not None:
                return found[1].decode()
    return None


def clean_environment(prefix: Path, runner: Runner, inherited: Mapping[str, str]) -> dict[str, str]:
    """Build the environment variables of an activated prefix and nothing else of the caller's.

    Only what programs need to find the terminal, the temporary folder and certificates is
    inherited, so that a variable of the machine can neither break nor rescue a test.
    """
    kept = ("HOME", "LANG", "LC_ALL", "TMPDIR", "TERM", "SSL_CERT_FILE", "USER")
    variables = {name: inherited[name] for name in kept if name in inherited}
    path = [str(prefix / "bin"), *os.defpath.split(os.pathsep)]
    return {
        **variables,
        "PATH": os.pathsep.join(path),
        "PREFIX": str(prefix),
        "CONDA_PREFIX": str(prefix),
        "PYTHONNOUSERSITE": "1",
        **dict(runner.environment),
    }
