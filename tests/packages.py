"""Takes .conda files apart and puts them together again, sound or spoilt, for tests of `verify`.

It goes by tarfile and zipfile, not by the readers under test.
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

from generator.building import Settings, build
from generator.channel import LocalChannel
from generator.console import Silent
from generator.inspecting import Evidence, Manifest
from generator.model import Lock, Variant, Wheel
from generator.rendering import RenderedTree, number_builds, render, write_tree
from tests.locks import Shelf, cpu_cell, feedstock, osx_cell

MANIFEST = "info/armtorch/manifest.json"
PATHS = "info/paths.json"


@dataclass
class Parts:
    """A package in memory: path -> content, or the target of a link as text."""

    name: str
    payload: dict[str, bytes | str]
    info: dict[str, bytes]

    @classmethod
    def read(cls, path: Path) -> Parts:
        found: dict[str, dict[str, bytes | str]] = {}
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".tar.zst"):
                    packed = io.BytesIO(archive.read(name))
                    content = zstandard.ZstdDecompressor().stream_reader(packed).read()
                    found[name.partition("-")[0]] = untar(content)
        info = {path: content for path, content in found["info"].items() if content != ""}
        return cls(path.name, found["pkg"], info)  # type: ignore[arg-type]

    def write(self, folder: Path) -> Path:
        return write_conda(
            folder / self.name, tar_of(self.payload.items()), tar_of(self.info.items())
        )

    def file(self, path: str) -> bytes:
        content = self.payload[path]
        assert isinstance(content, bytes), f"{path} is a link"
        return content

    def json(self, file: str) -> dict[str, Any]:
        return dict(json.loads(self.info[file]))

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
        for row in paths["paths"]:
            if row["_path"] == path:
                row |= {"sha256": digest, "size_in_bytes": len(content)}
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
    _known: dict[str, tuple[Variant, Mapping[str, Mapping[str, object]]]] = field(
        default_factory=dict
    )

    def wheel_of(self, manifest: Manifest) -> Wheel:
        return next(
            wheel
            for cell in self.lock.cells
            for wheel in cell.wheels
            if wheel.filename == manifest.source.purl.rpartition("file_name=")[2]
        )

    def wheel_path(self, wheel: Wheel) -> Path:
        return self.root / "wheelhouse" / wheel.sha256[:16] / wheel.filename

    def record(self, manifest: Manifest | None, *_: object) -> Evidence:
        """The lock's digest of RECORD and nothing else."""
        if manifest is None:
            return Evidence()
        return Evidence(record_sha256=self.wheel_of(manifest).record)

    def wheel(self, manifest: Manifest | None, *_: object) -> Evidence:
        """The wheel and nothing else."""
        if manifest is None:
            return Evidence()
        return Evidence(wheel=self.wheel_path(self.wheel_of(manifest)))

    def everything(self, name: str) -> Callable[..., Evidence]:
        """The lock and the recipes, as the command has them, for a package of that file name."""
        variant, metadata = self._variant(name)
        folder = variant.recipe_path.rpartition("/")[0] + "/"
        recipe = {
            path.removeprefix(folder): content
            for path, content in self.tree.files.items()
            if path.startswith(folder)
        }

        def witness(manifest: Manifest | None, *_: object) -> Evidence:
            if manifest is None:
                return Evidence(recipe=recipe, metadata=metadata)
            wheel = variant.wheels[0]
            return Evidence(
                record_sha256=wheel.record,
                wheel_sha256=wheel.sha256,
                wheel_size=wheel.size,
                purl=wheel.purl,
                recipe=recipe,
                metadata=metadata,
            )

        return witness

    def _variant(self, name: str) -> tuple[Variant, Mapping[str, Mapping[str, object]]]:
        if not self._known:
            for variant in self.tree.variants:
                metadata = expected_metadata(variant, self.root)
                index = metadata["info/index.json"]
                file = f"{index['name']}-{index['version']}-{index['build']}.conda"
                self._known[f"{variant.subdir}/{file}"] = variant, metadata
                self._known[file] = variant, metadata
        return self._known[name]


def tiny_repo(root: Path) -> tuple[RenderedTree, Lock]:
    """Write wheels and recipes of a CPU and a macOS cell."""
    shelf = Shelf(root / "wheelhouse")
    cells = cpu_cell(shelf), osx_cell(shelf, "9.2", "9.2.0")
    declared = feedstock()
    lock = number_builds(declared, shelf.lock(*cells), None)
    tree = render(declared, lock)
    write_tree(tree, root)
    return tree, lock


def tiny_channel(root: Path, out: Path) -> TinyChannel:
    """Build the packages of a CPU and a macOS cell."""
    tree, lock = tiny_repo(root)
    channel = LocalChannel(out)
    settings = Settings(repo=root, wheelhouse=root / "wheelhouse", level=1, jobs=2)
    build(tree.variants, channel=channel, settings=settings, narrator=Silent()).raise_for_failures()
    packages = tuple(sorted(out.glob("*/*.conda")))
    return TinyChannel(root, channel, tree, lock, packages)
