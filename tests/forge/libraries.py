"""Shared libraries as conda packages: out of debs, or out of a wheel that bundles them."""

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from generator.naming.mangling import without_hash
from tests.forge import debian, elf
from tests.forge.archive import Package
from tests.forge.declaration import SUBDIR, LibraryRow, MetaRow
from tests.forge.errors import ForgeError
from tests.forge.staging import Staged, build_hash

_MULTIARCH: Final = "aarch64-linux-gnu"


def stage(
    row: LibraryRow,
    debs: Mapping[tuple[str, str], debian.Deb],
    wheels: Mapping[str, Path],
    work: Path,
) -> Staged:
    """Lay out one library package and describe it."""
    tree = work / f"{row.conda}-{row.suite or row.wheel}"
    (tree / "lib").mkdir(parents=True)
    if row.wheel:
        version = row.version or ""
        source = f"bundled by {wheels[row.wheel].name}"
        _from_wheel(row, wheels[row.wheel], tree)
    else:
        used = [debs[row.suite or "", name] for name in row.debs]
        version = used[0].upstream_version
        source = ", ".join(f"{deb.name} {deb.version}" for deb in used)
        for deb in used:
            _from_deb(row, deb.folder, tree)
    for binary in elf.binaries(tree):
        elf.adopt(binary, tree)
    package = Package(
        name=row.conda,
        version=version,
        build=row.build.format(hash=build_hash([row.model_dump_json(), source])),
        number=0,
        subdir=SUBDIR,
        depends=tuple(spec.format(version=version) for spec in row.depends),
        constrains=tuple(spec.format(version=version) for spec in row.constrains),
        tree=tree,
        source=source,
    )
    return Staged(package, row.suite, row.pin)


def stage_meta(row: MetaRow, work: Path) -> Staged:
    """Describe a package that holds nothing but links."""
    tree = work / f"{row.conda}-{row.version}" if row.links else None
    if tree:
        for name, target in row.links.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
    package = Package(
        name=row.conda,
        version=row.version,
        build=row.build,
        number=row.number,
        subdir=row.subdir,
        depends=row.depends,
        constrains=row.constrains,
        tree=tree,
        noarch="generic" if row.subdir == "noarch" else None,
    )
    return Staged(package)


def _from_deb(row: LibraryRow, unpacked: Path, tree: Path) -> None:
    """Copy the files that match, Debian's folders left behind."""
    for pattern in row.files:
        for path in sorted(unpacked.rglob(pattern)):
            if path.is_symlink() and "/" in str(path.readlink()):
                continue
            if path.is_symlink() or path.is_file():
                shutil.copy2(path, tree / "lib" / path.name, follow_symlinks=False)
    include = unpacked / "usr/include"
    for path in (found for pattern in row.headers for found in sorted(include.rglob(pattern))):
        # Debian keeps what is a machine's own in a folder named by it
        parts = [part for part in path.relative_to(include).parts if part != _MULTIARCH]
        target = tree.joinpath("include", *parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    _expect_files(row, tree)


def _from_wheel(row: LibraryRow, wheel: Path, tree: Path) -> None:
    """Take a bundled library under the name it had before auditwheel."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            name = Path(member).name
            if any(Path(name).match(pattern) for pattern in row.files):
                (tree / "lib" / without_hash(name)).write_bytes(archive.read(member))
    _expect_files(row, tree)


def _expect_files(row: LibraryRow, tree: Path) -> None:
    if row.files and not any((tree / "lib").iterdir()):
        source = row.wheel or ", ".join(row.debs)
        msg = f"{row.conda}: {source} has no file that matches {', '.join(row.files)}"
        raise ForgeError(msg)
