"""Writes .conda files (CEP 34: what is in a package, CEP 35: the file around it).

rattler-build's assemble_package knows neither link.json's entry points nor CEP 17's
python_site_packages_path, and the forge's Pythons need both.
"""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import zstandard

from tests.forge.declaration import NOARCH

# Stands for the prefix in text files; a client writes the real one over it.
PREFIX_PLACEHOLDER = "/opt/armtorch_forge" + "_placehold" * 20
_EPOCH = 1_700_000_000
_LEVEL = 1


@dataclass(frozen=True)
class Package:
    """A conda package whose files lie staged under `tree` (none at all when it is None)."""

    name: str
    version: str
    build: str
    number: int
    subdir: str
    depends: tuple[str, ...]
    constrains: tuple[str, ...]
    tree: Path | None
    noarch: str | None = None
    entry_points: tuple[str, ...] = ()
    site_packages: str | None = None
    source: str = ""

    @property
    def file_name(self) -> str:
        """The name on a channel."""
        return f"{self.name}-{self.version}-{self.build}.conda"

    def index(self) -> dict[str, object]:
        """The package's index.json."""
        index: dict[str, object] = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": self.number,
            "depends": sorted(self.depends),
            "constrains": sorted(self.constrains),
            "subdir": self.subdir,
            "arch": None if self.subdir == NOARCH else "aarch64",
            "platform": None if self.subdir == NOARCH else "linux",
            "timestamp": _EPOCH * 1000,
        }
        if self.noarch:
            index["noarch"] = self.noarch
        if self.site_packages:
            index["python_site_packages_path"] = self.site_packages
        return index


def write(package: Package, channel: Path) -> Path:
    """Write the package into its subdir of a channel folder."""
    folder = channel / package.subdir
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / package.file_name
    stem = target.name.removesuffix(".conda")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_member("metadata.json"), b'{"conda_pkg_format_version": 2}')
        with _open_tar(archive, f"pkg-{stem}.tar.zst") as tar:
            _add_payload(tar, package)
        with _open_tar(archive, f"info-{stem}.tar.zst") as tar:
            _add_info(tar, package)
    return target


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, (2023, 11, 14, 0, 0, 0))


@contextmanager
def _open_tar(archive: zipfile.ZipFile, name: str) -> Iterator[tarfile.TarFile]:
    """Write a compressed tar straight into the archive: CUDA's libraries fill the memory else."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    with (
        archive.open(_member(name), "w", force_zip64=True) as raw,
        compressor.stream_writer(raw, closefd=False) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        yield tar


def _files(package: Package) -> Iterator[tuple[str, Path]]:
    if package.tree is None:
        return
    for path in sorted(package.tree.rglob("*")):
        if path.is_symlink() or path.is_file():
            yield path.relative_to(package.tree).as_posix(), path


def _add_payload(tar: tarfile.TarFile, package: Package) -> None:
    for name, path in _files(package):
        member = tarfile.TarInfo(name)
        member.mtime = _EPOCH
        if path.is_symlink():
            member.type = tarfile.SYMTYPE
            member.linkname = str(path.readlink())
            tar.addfile(member)
            continue
        member.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
        member.size = path.stat().st_size
        with path.open("rb") as file:
            tar.addfile(member, file)


def _add_info(tar: tarfile.TarFile, package: Package) -> None:
    about = {"summary": "made for armtorch's tests", "extra": {"source": package.source}}
    documents: dict[str, object] = {
        "index.json": package.index(),
        "about.json": about,
        "paths.json": {"paths": list(_paths(package)), "paths_version": 1},
    }
    if package.noarch == "python":
        documents["link.json"] = {
            "noarch": {"type": "python", "entry_points": list(package.entry_points)},
            "package_metadata_version": 1,
        }
    for name, document in documents.items():
        text = json.dumps(document, indent=2, sort_keys=True).encode()
        member = tarfile.TarInfo(f"info/{name}")
        member.mtime, member.size = _EPOCH, len(text)
        tar.addfile(member, io.BytesIO(text))


def _paths(package: Package) -> Iterator[dict[str, object]]:
    for name, path in _files(package):
        entry: dict[str, object] = {"_path": name}
        if path.is_symlink():
            # a link into another package dangles here; conda-build records an empty file then
            data = path.read_bytes() if path.is_file() else b""
            entry |= {"path_type": "softlink", "sha256": _digest(data), "size_in_bytes": len(data)}
        else:
            data = path.read_bytes()
            entry |= {"path_type": "hardlink", "sha256": _digest(data), "size_in_bytes": len(data)}
            if PREFIX_PLACEHOLDER.encode() in data:
                entry |= {"prefix_placeholder": PREFIX_PLACEHOLDER, "file_mode": "text"}
        yield entry


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
