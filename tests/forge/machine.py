"""The emulated machine: its loader and C library, and what a solver must know of it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.forge import debian, declaration
from tests.forge.channel import Report, default_cache, read_stamp, replace_folder
from tests.forge.errors import ForgeError

_MERGED = ("bin", "lib", "sbin")
# An ARM server's, as its kernel writes it (a Neoverse N1). qemu prefers files below its prefix to
# the machine's own; qemu 7.2 shows an ARM program the x86 machine's /proc/cpuinfo, and torch
# 2.14.1 dies of that at import, in cpuinfo_arm_linux_init.
_CPUINFO = """\
processor\t: {number}
BogoMIPS\t: 100.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1

"""


def sysroot(
    cache: Path | None = None,
    *,
    out: Path | None = None,
    report: Report = lambda _line: None,
) -> Path:
    """Make the folder with the aarch64 loader and C library, unless it is there already.

    It holds glibc and a list of processors: libstdc++, libgcc_s and libgomp must come out of the
    prefix under test, as on a machine that has none of its own.
    """
    cache = (cache or default_cache()).resolve()
    out = (out or cache / "sysroot").resolve()
    replace_folder(out, cache, _filler(cache, report), report)
    return out


def glibc_version(sysroot_folder: Path) -> str:
    """The version of the sysroot's C library, which a solver must be told of."""
    glibc = read_stamp(sysroot_folder).get("glibc")
    if glibc is None:
        msg = f"{sysroot_folder} is no sysroot of the forge; make it with forge.sysroot()"
        raise ForgeError(msg)
    return glibc


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
        (folder / "proc").mkdir()
        processors = range(os.cpu_count() or 1)
        (folder / "proc/cpuinfo").write_text(
            "".join(_CPUINFO.format(number=number) for number in processors)
        )
        version = debs[row.suite, row.debs[0]].upstream_version
        report(f"sysroot with glibc {version} written")
        return {"glibc": version}

    return fill


def _place(source: Path, target: Path) -> None:
    if "doc" in source.parts:
        return
    if source.is_symlink() or source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
