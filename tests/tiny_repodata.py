"""Channels of a few records, for what a test says about a solver."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack
import zstandard

Row = tuple[str, dict[str, Any]]


def record(
    name: str,
    version: str,
    *,
    build: str = "h0_0",
    number: int = 0,
    subdir: str = "linux-aarch64",
    depends: Sequence[str] = (),
    constrains: Sequence[str] = (),
) -> Row:
    """Return a file name and its record."""
    row: dict[str, Any] = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": number,
        "subdir": subdir,
        "depends": list(depends),
        "constrains": list(constrains),
        "sha256": "0" * 64,
        "size": 1,
        "timestamp": 1_780_000_000_000,
    }
    if subdir == "noarch":
        row["noarch"] = "generic"
    return f"{name}-{version}-{build}.conda", row


def write(folder: Path, rows: Mapping[str, Iterable[Row]]) -> str:
    """Write a channel and return its URL; noarch is there in any case (CEP 26)."""
    for subdir, records in {"noarch": (), **rows}.items():
        (folder / subdir).mkdir(parents=True, exist_ok=True)
        document = {
            "info": {"subdir": subdir},
            "packages": {},
            "packages.conda": dict(records),
            "repodata_version": 1,
        }
        (folder / subdir / "repodata.json").write_text(json.dumps(document))
    return folder.resolve().as_uri()


def shard(folder: Path) -> None:
    """Put shards (CEP 16) in the place of each subdir's repodata.json."""
    for subdir in sorted(path.parent for path in folder.glob("*/repodata.json")):
        document = json.loads((subdir / "repodata.json").read_text())
        (subdir / "repodata.json").unlink()
        (subdir / "shards").mkdir()
        shards: dict[str, Any] = {}
        for file_name, row in document["packages.conda"].items():
            hashes = {key: bytes.fromhex(row[key]) for key in ("sha256", "md5") if key in row}
            new: dict[str, Any] = {"packages": {}, "packages.conda": {}, "removed": []}
            shards.setdefault(row["name"], new)["packages.conda"][file_name] = {**row, **hashes}
        digests = {}
        for name, content in shards.items():
            packed = zstandard.compress(msgpack.packb(content))
            digest = hashlib.sha256(packed)
            (subdir / "shards" / f"{digest.hexdigest()}.msgpack.zst").write_bytes(packed)
            digests[name] = digest.digest()
        info = {
            "subdir": subdir.name,
            "base_url": "",
            "shards_base_url": "shards/",
            "created_at": "2026-11-01T00:00:00Z",
        }
        index = zstandard.compress(msgpack.packb({"info": info, "shards": digests}))
        (subdir / "repodata_shards.msgpack.zst").write_bytes(index)
