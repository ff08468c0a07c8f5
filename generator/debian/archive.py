"""Writes a .conda file from a folder of files (CEP 34: what is in it, CEP 35: the file around it).

rattler-build makes a package from a recipe, and neither writes entry points for another machine nor
the path of site-packages (CEP 17) of a Python; what is made here is of no recipe. The bytes are of
the files, the metadata and the level alone, as those that `building` seals.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from generator.building.archive import BLOCK, CondaWriter, TarZst, is_binary
from generator.building.policy import policy

#: stands for the prefix in text files; a client writes the real one over it
PLACEHOLDER: Final = "/opt/armtorch" + "_placehold" * 24


@dataclass(frozen=True, kw_only=True)
class Package:
    """A conda package whose files lie below ``tree`` (none at all when it is None)."""

    name: str
    version: str
    build: str
    number: int
    subdir: str
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    tree: Path | None = None
    noarch: str | None = None
    #: of a Python package for any Python: ``name = module:function``
    entry_points: tuple[str, ...] = ()
    #: of a Python: its site-packages (CEP 17)
    site_packages: str | None = None
    #: milliseconds since 1970
    timestamp: int
    about: Mapping[str, object] = field(default_factory=dict)
    #: files below info/, ``licenses/deb/copyright``
    info: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """The name on a channel."""
        return f"{self.name}-{self.version}-{self.build}.conda"

    def index(self) -> dict[str, object]:
        """Return the package's index.json."""
        platform, _, arch = self.subdir.partition("-")
        index: dict[str, object] = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": self.number,
            "depends": sorted(self.depends),
            "constrains": sorted(self.constrains),
            "subdir": self.subdir,
            "arch": arch or None,
            "platform": platform if arch else None,
            "timestamp": self.timestamp,
        }
        if self.noarch:
            index["noarch"] = self.noarch
        if self.site_packages:
            index["python_site_packages_path"] = self.site_packages
        return index

    def files(self) -> Iterator[tuple[str, Path]]:
        """Give its files and links by their paths in the prefix, in the order of the archive."""
        if self.tree is None:
            return
        for path in sorted(self.tree.rglob("*"), key=lambda each: PurePosixPath(each).parts):
            if path.is_symlink() or path.is_file():
                yield path.relative_to(self.tree).as_posix(), path


def write(package: Package, folder: Path, level: int) -> Path:
    """Write the package into a folder and return where."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / package.file_name
    part = target.with_name(f"{target.name}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        writer = CondaWriter(
            archive,
            target.name.removesuffix(".conda"),
            level=level,
            cores=1,
            seconds=package.timestamp // 1000,
            rules=policy().seal,
        )
        with writer.tar("pkg") as tar:
            paths = [_add(tar, name, path) for name, path in package.files()]
        with writer.tar("info") as tar:
            for name, content in sorted(_info(package, paths).items()):
                tar.add(f"info/{name}", (content,), len(content))
    part.replace(target)
    return target


def _add(tar: TarZst, name: str, path: Path) -> dict[str, object]:
    """Write one file or link, and return its row of paths.json."""
    if path.is_symlink():
        tar.add_link(name, str(path.readlink()))
        # a link into another package dangles here; conda-build records an empty file then
        data = path.read_bytes() if path.is_file() else b""
        return _row(name, "softlink", hashlib.sha256(data).hexdigest(), len(data))
    size = path.stat().st_size
    with path.open("rb") as file:
        tar.add(name, iter(lambda: file.read(BLOCK), b""), size)
        file.seek(0)
        row = _row(name, "hardlink", hashlib.file_digest(file, "sha256").hexdigest(), size)
        file.seek(0)
        if not is_binary(file.read(4)) and PLACEHOLDER.encode() in path.read_bytes():
            row |= {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}
    return row


def _row(name: str, kind: str, sha256: str, size: int) -> dict[str, object]:
    return {"_path": name, "path_type": kind, "sha256": sha256, "size_in_bytes": size}


def _info(package: Package, paths: list[dict[str, object]]) -> dict[str, bytes]:
    documents: dict[str, object] = {
        "index.json": package.index(),
        "about.json": package.about,
        "paths.json": {"paths": paths, "paths_version": 1},
    }
    if package.noarch == "python":
        documents["link.json"] = {
            "noarch": {"type": "python", "entry_points": list(package.entry_points)},
            "package_metadata_version": 1,
        }
    texts = {
        name: json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode()
        for name, document in documents.items()
    }
    return {**package.info, **texts}
