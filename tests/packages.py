"""Takes .conda files apart and puts them together again, sound or spoilt, for tests of `verify`.

It takes apart by tarfile and zipfile, not by the readers under test. It puts together as a forger
would who has armtorch at hand: by the writer of the seal.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from generator.building import Expected, Settings
from generator.building.archive import CondaWriter
from generator.building.policy import policy
from generator.building.seal import DIGESTS, digests_text
from generator.channel import LocalChannel
from generator.inspecting import Evidence
from generator.model import Cell, Lock, Wheel
from generator.rendering import RenderedTree, number_builds, render, write_tree
from tests.locks import Shelf, cpu_cell, feedstock, osx_cell
from tests.tiny_recipes import build_all

MANIFEST = "info/armtorch/manifest.json"
PATHS = "info/paths.json"


@dataclass
class Parts:
    """A package in memory: path -> content, or the target of a link as text."""

    name: str
    payload: dict[str, bytes | str]
    info: dict[str, bytes]
    #: of every entry
    seconds: int = 0

    @classmethod
    def read(cls, path: Path) -> Parts:
        found: dict[str, dict[str, bytes | str]] = {}
        seconds = 0
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".tar.zst"):
                    packed = io.BytesIO(archive.read(name))
                    content = zstandard.ZstdDecompressor().stream_reader(packed).read()
                    found[name.partition("-")[0]] = untar(content)
                    seconds = max(seconds, int(content[136:147].strip(b"\0") or b"0", 8))
        info = {path: content for path, content in found["info"].items() if content != ""}
        return cls(path.name, found["pkg"], info, seconds)  # type: ignore[arg-type]

    def write(self, folder: Path) -> Path:
        """Seal the package, at this level whatever it was sealed at."""
        path = folder / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            writer = CondaWriter(
                archive,
                self.name.removesuffix(".conda"),
                level=1,
                cores=1,
                seconds=self.seconds,
                rules=policy().seal,
            )
            with writer.tar("pkg") as tar:
                for name in sorted(self.payload, key=lambda each: each.split("/")):
                    content = self.payload[name]
                    if isinstance(content, str):
                        tar.add_link(name, content)
                    else:
                        tar.add(name, (content,), len(content))
            with writer.tar("info") as tar:
                for name, content in sorted(self.info.items()):
                    tar.add(name, (content,), len(content))
        return path

    def file(self, path: str) -> bytes:
        content = self.payload[path]
        assert isinstance(content, bytes), f"{path} is a link"
        return content

    def json(self, file: str) -> dict[str, Any]:
        return dict(json.loads(self.info[file]))

    def seal_info(self) -> None:
        """Make the digests of the metadata agree, as the seal does last."""
        self.info[DIGESTS] = digests_text(self.info)

    def put_json(self, file: str, value: object) -> None:
        """Write JSON as its own writer would."""
        if file == MANIFEST:
            text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        else:
            text = json.dumps(value, indent=2, ensure_ascii=False)
        self.info[file] = text.encode("utf-8", "surrogatepass")

    def adjust(self, path: str) -> None:
        """Make paths.json, and the manifest where it has a digest, agree with a changed file."""
        content = self.file(path)
        digest = hashlib.sha256(content).hexdigest()
        paths = self.json(PATHS)
        row = {"sha256": digest, "size_in_bytes": len(content)}
        rows = {row["_path"]: row for row in paths["paths"]}
        rows[path] = {"_path": path, "path_type": "hardlink", **row}
        paths["paths"] = sorted(rows.values(), key=lambda each: each["_path"].split("/"))
        self.put_json(PATHS, paths)
        if MANIFEST in self.info:
            manifest = self.json(MANIFEST)
            if path in manifest["patched"]:
                manifest["patched"][path]["sha256"] = digest
                self.put_json(MANIFEST, manifest)


def untar(content: bytes) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for entry in tar:
            stream = tar.extractfile(entry) if entry.isreg() else None
            found[entry.name] = stream.read() if stream else entry.linkname
    return found


def tar_of(entries: Sequence[tuple[str, bytes | str]] | Any) -> bytes:
    """Write files and, for texts, links, as they come."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def pack(tar: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(tar)


def write_conda(
    path: Path,
    pkg: bytes,
    info: bytes,
    *,
    more: Mapping[str, bytes] | None = None,
    packed: Callable[[bytes], bytes] = pack,
) -> Path:
    """Write a .conda file around two tars."""
    stem = path.name.removesuffix(".conda")
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version":2}')
        archive.writestr(f"pkg-{stem}.tar.zst", packed(pkg))
        archive.writestr(f"info-{stem}.tar.zst", packed(info))
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return path


def nothing(*_: object) -> Evidence:
    """Nobody outside of the package knows anything of it."""
    return Evidence()


@dataclass
class TinyChannel:
    """Packages around tiny wheels, built by the real builder, and what is known of them."""

    root: Path
    channel: LocalChannel
    tree: RenderedTree
    lock: Lock
    packages: tuple[Path, ...] = ()
    _known: dict[str, Expected] = field(default_factory=dict)

    def wheel_of(self, manifest: Mapping[str, Any]) -> Wheel:
        return next(
            wheel
            for cell in self.lock.cells
            for wheel in cell.wheels
            if wheel.sha256 == manifest["source"]["sha256"]
        )

    def record(self, info: Mapping[str, bytes]) -> Evidence:
        """The lock's digest of RECORD and nothing else."""
        if MANIFEST not in info:
            return Evidence()
        return Evidence(records={"the lock's": self.wheel_of(json.loads(info[MANIFEST])).record})

    def everything(self, name: str) -> Callable[..., Evidence]:
        """The lock and the recipes, as the command has them, for a package of that file name."""
        expected = self.expected(name)
        records = {f"the lock's {n}": w.record for n, w in enumerate(expected.variant.wheels)}
        wheel = next(iter(expected.variant.wheels), None)
        said = self.lock.metadata[wheel.metadata] if wheel is not None else None
        return lambda _: Evidence(expected=expected, records=records, metadata=said)

    def expected(self, name: str) -> Expected:
        if not self._known:
            for variant in self.tree.variants:
                folder = variant.recipe_path.rpartition("/")[0] + "/"
                recipe = {
                    path.removeprefix(folder): content
                    for path, content in self.tree.files.items()
                    if path.startswith(folder)
                }
                found = Expected.of(variant, recipe, self.tree.files[variant.config_path])
                self._known[found.file_name] = found
        return self._known[name]


def tiny_repo(root: Path, *more: Callable[[Shelf], Cell]) -> tuple[RenderedTree, Lock]:
    """Write wheels and recipes of a CPU and a macOS cell, or of others."""
    shelf = Shelf(root / "wheelhouse")
    cells = [make(shelf) for make in more] or [cpu_cell(shelf), osx_cell(shelf, "9.2", "9.2.0")]
    declared = feedstock()
    lock = number_builds(declared, shelf.lock(*cells), None)
    tree = render(declared, lock)
    write_tree(tree, root)
    return tree, lock


def tiny_channel(root: Path, out: Path, *more: Callable[[Shelf], Cell]) -> TinyChannel:
    """Build the packages of a CPU and a macOS cell, or of others."""
    tree, lock = tiny_repo(root, *more)
    channel = LocalChannel(out)
    settings = Settings(repo=root, wheelhouse=root / "wheelhouse", level=1, jobs=2)
    build_all(tree.variants, channel=channel, settings=settings).raise_for_failures()
    packages = tuple(sorted(out.glob("*/*.conda")))
    return TinyChannel(root, channel, tree, lock, packages)
