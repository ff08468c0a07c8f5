"""Channels of records without packages: a solver reads no more than those (CEP 36)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from generator.atomic import write_text

#: a file name, and its record as repodata has it
NamedRecord = tuple[str, dict[str, Any]]


def write_record_channel(records: Iterable[NamedRecord], folder: Path) -> str:
    """Write a channel of records without packages into ``folder``; return its URL.

    Raises OSError: the folder cannot be written.
    """
    packages: dict[str, dict[str, dict[str, Any]]] = {"noarch": {}}
    for name, record in records:
        packages.setdefault(record["subdir"], {})[name] = record
    for subdir, rows in packages.items():
        place = folder / subdir
        place.mkdir(parents=True, exist_ok=True)
        document = {
            "info": {"subdir": subdir},
            "packages": {},
            "packages.conda": rows,
            "repodata_version": 1,
        }
        write_text(place / "repodata.json", json.dumps(document))
    return folder.resolve().as_uri()
