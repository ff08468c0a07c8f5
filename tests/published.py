"""What every published channel must be, and tiny packages to publish."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
import opendal
import zstandard
from rattler import MatchSpec, solve
from rattler_build import assemble_package

from generator.channel import LocalChannel
from generator.channel.patching import REVOKED

SUBDIR = "linux-aarch64"
#: reads a file of a channel, None where there is none
Read = Callable[[str], bytes | None]


def make_packages(
    channel: LocalChannel,
    names: Iterable[str],
    *,
    size: int = 1000,
    seed: int = 0,
    version: str = "1.0",
    build: str = "0",
    depends: Iterable[str] = (),
) -> None:
    """Put small packages of random bytes into a channel folder and index it."""
    channel.root.mkdir(parents=True, exist_ok=True)
    for name in names:
        files = channel.root.parent / f"files-{name}"
        files.mkdir(exist_ok=True)
        (files / f"{name}.bin").write_bytes(random.Random(f"{seed}{name}").randbytes(size))
        made = assemble_package(
            name,
            version,
            SUBDIR,
            build,
            channel.root.parent,
            files_dir=files,
            depends=list(depends),
            license="MIT",
            summary="of a test",
            timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        )
        channel.place(made.path, SUBDIR, replace=True)
    channel.index()


def folder_reader(root: Path) -> Read:
    def read(path: str) -> bytes | None:
        file = root / path
        return file.read_bytes() if file.is_file() else None

    return read


def s3_reader(operator: opendal.Operator) -> Read:
    def read(path: str) -> bytes | None:
        try:
            return bytes(operator.read(path))
        except opendal.exceptions.NotFound:
            return None

    return read


def assert_consistent(read: Read, subdirs: Iterable[str] = (SUBDIR, "noarch")) -> set[str]:
    """Every installable record of every form of the index has its file, with sha256 and size.

    Returns the file names of the installable ones in repodata.json.
    """
    found: set[str] = set()
    for subdir in subdirs:
        plain = read(f"{subdir}/repodata.json")
        if plain is None:
            continue
        forms = [json.loads(plain)["packages.conda"]]
        found |= {name for name, row in forms[0].items() if REVOKED not in row["depends"]}
        if (packed := read(f"{subdir}/repodata.json.zst")) is not None:
            forms.append(
                json.loads(
                    zstandard.ZstdDecompressor().decompress(packed, max_output_size=1 << 28)
                )["packages.conda"]
            )
        forms.append(shards(read, subdir))
        for rows in forms:
            for name, row in rows.items():
                if REVOKED in row["depends"]:
                    continue
                content = read(f"{subdir}/{name}")
                assert content is not None, f"{subdir}/{name} has a record and no file"
                assert len(content) == row["size"], name
                digest = row["sha256"]
                digest = digest.hex() if isinstance(digest, bytes) else digest
                assert hashlib.sha256(content).hexdigest() == digest, name
    return found


def shards(read: Read, subdir: str) -> dict[str, dict[str, Any]]:
    """Return the records of sharded repodata (CEP 16)."""
    unpacked = zstandard.ZstdDecompressor()
    index = read(f"{subdir}/repodata_shards.msgpack.zst")
    rows: dict[str, dict[str, Any]] = {}
    if index is None:
        return rows
    for digest in msgpack.unpackb(unpacked.decompress(index, max_output_size=1 << 28))[
        "shards"
    ].values():
        shard = read(f"{subdir}/shards/{digest.hex()}.msgpack.zst")
        assert shard is not None, "a shard is named and not there"
        rows |= msgpack.unpackb(unpacked.decompress(shard, max_output_size=1 << 28))[
            "packages.conda"
        ]
    return rows


def assert_solves(url: str, names: Iterable[str]) -> None:
    for name in names:
        records = asyncio.run(
            solve([url], [MatchSpec(name)], platforms=["linux-aarch64", "noarch"])
        )
        assert name in {record.name.normalized for record in records}
