"""A channel with a C++ compiler for linux-aarch64, in the place of conda-forge's ``gxx``.

It is Debian's own for arm64, moved into a prefix: GCC finds its headers and libraries from where it
lies, and the C library's by ``--sysroot``, as conda-forge's does in its own sysroot.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.forge import debian, default_cache, elf
from tests.forge.archive import Package
from tests.media import kept

_VERSION = "12"
_TARGET = "aarch64-linux-gnu"
_SYSROOT = "aarch64-conda-linux-gnu/sysroot"
_OWN = (
    *(f"{name}-{_VERSION}" for name in ("g++", "gcc", "cpp")),
    *(f"lib{name}-{_VERSION}-dev" for name in ("gcc", "stdc++")),
    *("binutils-aarch64-linux-gnu", "libbinutils", "libctf0", "libctf-nobfd0", "libjansson4"),
    *("libgmp10", "libisl23", "libmpc3", "libmpfr6"),
)
_C_LIBRARY = ("libc6", "libc6-dev", "linux-libc-dev", "libcrypt1", "libcrypt-dev")
#: what the environment's other packages have
_RUN_TIME = ("libgomp.so.1", "libstdc++.so.6", "libgcc_s.so.1")
_DRIVER = f"""\
#!/bin/sh
bin=$(dirname "$0")
exec "$bin/g++-{_VERSION}" "--sysroot=$bin/../{_SYSROOT}" "$@"
"""


def ensure_compiler() -> str:
    """Return the channel's address; its ``gxx`` has a ``g++``."""
    return kept("gxx", Path(__file__), lambda work: [_gxx(work)])


def _gxx(folder: Path) -> Package:
    tree = folder / "gxx"
    debs = debian.fetch({"bookworm": (*_OWN, *_C_LIBRARY)}, default_cache())
    for (_, name), deb in debs.items():
        if name in _C_LIBRARY:
            _copy(deb.folder, tree / _SYSROOT)
        else:
            _copy(deb.folder / "usr", tree)
    for path in (tree / f"lib/{_TARGET}").glob("*.so*"):
        path.rename(tree / "lib" / path.name)
    shutil.rmtree(tree / "share")
    for binary in elf.binaries(tree):
        if _SYSROOT not in str(binary) and binary.suffix != ".o":
            elf.adopt(binary, tree)
    for name in ("as", "ld"):  # without Debian's prefix, which GCC does not look for here
        (tree / f"bin/{name}").symlink_to(f"{_TARGET}-{name}")
    for path in tree.rglob("*"):
        if path.is_symlink() and not path.exists():
            name = Path(path.readlink()).name
            path.unlink()
            # Debian's libraries for programs are a folder lower than the environment's
            if name in _RUN_TIME and path.parent.parts[-3:] == ("gcc", _TARGET, _VERSION):
                path.symlink_to(f"../../../{name}")
    driver = tree / "bin/g++"
    driver.write_text(_DRIVER)
    driver.chmod(0o755)
    return Package(
        name="gxx",
        version=debs["bookworm", f"g++-{_VERSION}"].upstream_version,
        build="0",
        number=0,
        subdir="linux-aarch64",
        depends=("libgcc >=12", "libstdcxx >=12", "libgomp", "libzlib", "zstd"),
        constrains=(),
        tree=tree,
    )


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)
