"""Channels of a few records, for what a test says about a solver."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
