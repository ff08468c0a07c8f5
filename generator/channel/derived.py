"""A subdir's index, edited: one package more costs its own record, and the bytes that are written.

The records are rattler's: of a channel whose index was left whole (:class:`Kept`) it reads the new
packages alone, of any other all of them. What is made from a repodata.json, compressed and in
shards (CEP 16), is made here in both cases: from the same records come the same bytes, and they are
rattler's own, but for the time of day that its list of shards has and the level of a large
repodata.json.zst.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard

from generator.atomic import write_bytes
from generator.channel.repodata import (
    ATTESTED,
    PACKAGES,
    REPODATA,
    UNPATCHED,
    Repodata,
    in_order,
    parts_of,
)
from generator.documents import limits, open_file, read_bytes, unpack_zstd
from generator.errors import ArmtorchError

ZST: Final = f"{REPODATA}.zst"
SHARDS: Final = "repodata_shards.msgpack.zst"
#: in the channel's folder while its index is whole: what it was made of, as digests
KEPT: Final = ".armtorch.index"
#: what an index has in each subdir
_FILES: Final = frozenset({REPODATA, UNPATCHED, ZST, SHARDS})
#: rattler's levels, and what a repodata.json of more bytes gets: of 8.5 MB, 1.77 MB in 0.01 s
#: instead of 1.56 MB in 8 s
_LEVEL, _LARGE, _LEVEL_OF_LARGE = 19, 1 << 20, 1
_LEVEL_OF_SHARDS: Final = 3
#: what shards have as bytes instead of hexadecimal digits
_DIGESTS: Final = (ATTESTED, "legacy_bz2_md5", "md5", "sha256")


def derive(
    folder: Path, content: bytes, found: Repodata, changed: Collection[str] | None
) -> dict[str, str]:
    """Write what is made from a subdir's repodata.json; return the digest of each file.

    ``changed`` are packages whose records are new or gone; None: any may be.
    """
    listed = None if changed is None else _listed(folder / SHARDS)
    names = None if changed is None or listed is None else {_name(each) for each in changed}
    shards = {}
    if names is not None and listed is not None:
        shards = {name: digest for name, digest in listed.items() if name not in names}
    for name, shard in _shards(found, names):
        packed = _compressed(msgspec.msgpack.encode(shard), _LEVEL_OF_SHARDS)
        digest = hashlib.sha256(packed)
        shards[name] = digest.digest()
        path = folder / "shards" / f"{digest.hexdigest()}.msgpack.zst"
        if not path.is_file():
            write_bytes(path, packed, durable=names is not None)
    level = _LEVEL if len(content) <= _LARGE else _LEVEL_OF_LARGE
    files = {ZST: _compressed(content, level), SHARDS: _list(folder.name, shards)}
    for file, written in files.items():
        write_bytes(folder / file, written)
    return {file: hashlib.sha256(written).hexdigest() for file, written in files.items()}


def _shards(found: Repodata, names: Collection[str] | None) -> Iterator[tuple[str, Any]]:
    """Yield the shards of these names, None for all, one after the other."""
    groups: dict[str, list[str]] = defaultdict(list)
    for file_name in (*found.rows, *(each for each in found.removed if each not in found.rows)):
        groups[_name(file_name)].append(file_name)
    removed = set(found.removed)
    for name in sorted(groups if names is None else groups.keys() & names):
        yield (
            name,
            {
                "packages": {},
                PACKAGES: {
                    each: _packed(found.rows[each]) for each in groups[name] if each in found.rows
                },
                "removed": [each for each in in_order(groups[name]) if each in removed],
            },
        )


def _name(file_name: str) -> str:
    return parts_of(file_name)[0].lower()


def _packed(row: msgspec.Raw) -> dict[str, Any]:
    record: dict[str, Any] = msgspec.json.decode(row)
    return record | {key: bytes.fromhex(record[key]) for key in _DIGESTS if key in record}


def _compressed(content: bytes, level: int) -> bytes:
    # as a stream of unknown length, as rattler does
    packer = zstandard.ZstdCompressor(level=level, write_content_size=False).compressobj()
    return packer.compress(content) + packer.flush()


def _list(subdir: str, shards: Mapping[str, bytes]) -> bytes:
    """Return the list of shards, without the time it was made, which CEP 16 leaves open."""
    info = {"subdir": subdir, "base_url": "", "shards_base_url": "./shards/"}
    listed = {"info": info, "shards": dict(sorted(shards.items()))}
    return _compressed(msgspec.msgpack.encode(listed), _LEVEL_OF_SHARDS)


class _List(msgspec.Struct, frozen=True):
    """A list of shards, as far as it is taken over."""

    shards: dict[str, bytes]


def _listed(path: Path) -> dict[str, bytes] | None:
    """Read a list of shards of our own; None for what is none, which is made anew."""
    most = limits().page.shards
    try:
        content = unpack_zstd(read_bytes(path, most), most, str(path))
        return msgspec.msgpack.decode(content, type=_List).shards
    except (OSError, ArmtorchError, msgspec.MsgspecError, RecursionError):
        return None


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a channel's index was left as: where its files are still these, it is whole."""

    #: the patch package it was made with
    patch: str
    #: subdir -> file -> sha256
    subdirs: dict[str, dict[str, str]]

    @classmethod
    def read(cls, root: Path) -> Kept | None:
        """Read it; None where there is none, since a run is under way or was killed."""
        try:
            return cls.parse(read_bytes(root / KEPT, limits().json.bytes))
        except FileNotFoundError:
            return None

    @classmethod
    def parse(cls, content: bytes) -> Kept | None:
        """Take it from its bytes; None for what is none."""
        try:
            found = msgspec.json.decode(content, type=cls)
        except msgspec.MsgspecError:
            return None
        # what else it names is not of an index, and not opened
        return found if all(files.keys() <= _FILES for files in found.subdirs.values()) else None

    def write(self, root: Path) -> None:
        """Say that the index is whole."""
        write_bytes(root / KEPT, msgspec.json.encode(self))

    @staticmethod
    def forget(root: Path) -> None:
        """Say that the index is about to be changed."""
        (root / KEPT).unlink(missing_ok=True)

    def fits(self, root: Path, read: Mapping[str, str]) -> bool:
        """Whether the files are those; ``read`` has digests that are known already, by path."""
        return all(
            (read.get(f"{subdir}/{file}") or digest_of(root / subdir / file)) == digest
            for subdir, files in self.subdirs.items()
            for file, digest in files.items()
        )


def digest_of(path: Path) -> str:
    """Return a file's sha256, "" where there is none."""
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
