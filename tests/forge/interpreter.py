"""Debian's CPython, laid out as conda-forge lays out its own.

Debian spreads CPython over several debs, sends its users' packages to dist-packages and lets the
system's library path find its libraries. A conda python has one prefix, site-packages below its
standard library, and finds `$PREFIX/lib` by the search path in its binary (elf.adopt).
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.forge import debian, elf
from tests.forge.archive import PREFIX_PLACEHOLDER, Package
from tests.forge.declaration import SUBDIR, PythonRow
from tests.forge.staging import Staged, build_hash

# Debian's own hooks; its sitecustomize.py is a link to /etc
_HOOKS = ("EXTERNALLY-MANAGED", "_distutils_system_mod.py", "sitecustomize.py")
# modules for libraries that conda-forge's python does not have either
_LEFT_OUT = ("_dbm.*.so", "nis.*.so")
# what comes with the headers and conda-forge's python does not have
_LEFT_BEHIND = shutil.ignore_patterns("*.a", "config-*", "*-linux-gnu-python*")
# What Debian changed in the standard library, changed back: file, pattern, replacement.
_RESTORED = (
    ("sysconfig.py", r"prefix_scheme = 'posix_local'", "prefix_scheme = 'posix_prefix'"),
    ("sysconfig/__init__.py", r"prefix_scheme = 'posix_local'", "prefix_scheme = 'posix_prefix'"),
    (
        "distutils/command/install.py",
        r"(?s) {16}if os\.path\.normpath\(self\.prefix\) == '/usr/local':.*?\"unix_local\"\)",
        " " * 16 + 'self.select_scheme("unix_prefix")',
    ),
    (
        "distutils/sysconfig.py",
        r'os\.path\.join\(prefix, "lib", "python3", "dist-packages"\)',
        'os.path.join(libpython, "site-packages")',
    ),
)
# From 3.11 on the interpreter carries `site` frozen inside, Debian's changes included, so that no
# edit of site.py reaches it. This runs at the end of its start.
_SITECUSTOMIZE = '''\
"""site-packages as upstream has it, in the place of Debian's dist-packages."""

import os
import site
import sys


def getsitepackages(prefixes=None):
    folder = "python%d.%d" % sys.version_info[:2]
    prefixes = dict.fromkeys(prefixes or site.PREFIXES)
    return [os.path.join(prefix, "lib", folder, "site-packages") for prefix in prefixes]


site.getsitepackages = getsitepackages
site.addsitepackages(None)
'''
_BUILD_PREFIX = re.compile(r"/usr(?=/(?:include|lib|share)\b|')(?!/share/zoneinfo)")
_MULTIARCH_FOLDER = re.compile(r"/usr/lib/aarch64-linux-gnu\b")


def stage(row: PythonRow, debs: Mapping[tuple[str, str], debian.Deb], work: Path) -> Staged:
    """Lay out one interpreter and describe its package."""
    tree = work / f"python-{row.version}"
    used = [debs[row.suite, name] for name in row.debs]
    for deb in used:
        _copy(deb.folder, tree, row)
    (tree / "bin/python3").symlink_to(f"python{row.version}")
    (tree / "bin/python").symlink_to(f"python{row.version}")
    library = tree / row.folder
    for name in _HOOKS:
        (library / name).unlink(missing_ok=True)
    for pattern in _LEFT_OUT:
        for path in (library / "lib-dynload").glob(pattern):
            path.unlink()
    _restore(library)
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


def _restore(library: Path) -> None:
    """Undo Debian's patches and point the build-time paths at the prefix."""
    for name, pattern, replacement in _RESTORED:
        path = library / name
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            path.write_text(re.sub(pattern, replacement, text), encoding="utf-8")
    (library / "sitecustomize.py").write_text(_SITECUSTOMIZE, encoding="utf-8")
    for path in library.glob("_sysconfigdata_*.py"):
        if not path.is_symlink():
            text = path.read_text(encoding="utf-8")
            text = _MULTIARCH_FOLDER.sub(f"{PREFIX_PLACEHOLDER}/lib", text)
            path.write_text(_BUILD_PREFIX.sub(PREFIX_PLACEHOLDER, text), encoding="utf-8")
