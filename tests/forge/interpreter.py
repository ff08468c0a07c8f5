"""Debian's CPython, laid out as conda-forge lays out its own.

Debian spreads CPython over several debs, sends its users' packages to dist-packages and lets the
system's library path find its libraries. A conda python has one prefix, site-packages below its
standard library, and finds `$PREFIX/lib` by the search path in its binary (elf.adopt).
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from generator.debian.interpreter import restore
from tests.forge import debian, elf
from tests.forge.archive import Package
from tests.forge.declaration import SUBDIR, PythonRow
from tests.forge.staging import Staged, build_hash

# Debian's own hooks; its sitecustomize.py is a link to /etc
_HOOKS = ("EXTERNALLY-MANAGED", "_distutils_system_mod.py", "sitecustomize.py")
# modules for libraries that conda-forge's python does not have either
_LEFT_OUT = ("_dbm.*.so", "nis.*.so")
# what comes with the headers and conda-forge's python does not have
_LEFT_BEHIND = shutil.ignore_patterns("*.a", "config-*", "*-linux-gnu-python*")


def stage(row: PythonRow, debs: Mapping[tuple[str, str], debian.Deb], work: Path) -> Staged:
    """Lay out one interpreter and describe its package."""
    tree = work / f"python-{row.version}"
    used = [debs[row.suite, name] for name in row.debs]
    for deb in used:
        _copy(deb.folder, tree, row)
    library = tree / row.folder
    for name in _HOOKS:
        (library / name).unlink(missing_ok=True)
    for pattern in _LEFT_OUT:
        for path in (library / "lib-dynload").glob(pattern):
            path.unlink()
    restore(tree, row.version)
    for binary in elf.binaries(tree):
        elf.adopt(binary, tree)
    package = Package(
        name="python",
        version=used[0].upstream_version,
        build=row.build.format(hash=build_hash([row.model_dump_json(), *(d.sha256 for d in used)])),
        number=int(row.build.split("_")[1]),
        subdir=SUBDIR,
        depends=row.depends,
        constrains=(f"python_abi {row.version}.* *_{row.abi}",),
        tree=tree,
        site_packages=row.site_packages,
        source=", ".join(f"{deb.name} {deb.version}" for deb in used),
    )
    return Staged(package, row.suite)


def _copy(unpacked: Path, tree: Path, row: PythonRow) -> None:
    headers = f"include/python{row.version}"
    for folder, target in (
        (f"usr/{row.folder}", row.folder),
        ("usr/bin", "bin"),
        (f"usr/{headers}", headers),
        # over the file of that name that only chooses between Debian's architectures
        (f"usr/include/aarch64-linux-gnu/python{row.version}", headers),
    ):
        source = unpacked / folder
        if source.is_dir():
            shutil.copytree(
                source, tree / target, symlinks=True, dirs_exist_ok=True, ignore=_LEFT_BEHIND
            )
