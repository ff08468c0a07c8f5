"""Machines as trees of files, from computers.yaml."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from generator.explaining import System

ROWS: dict[str, Any] = YAML(typ="safe").load(Path(__file__).with_suffix(".yaml"))


@dataclass(frozen=True)
class Tree:
    """One machine's files, and what only its running system would tell."""

    root: Path
    system: System | None
    environment: dict[str, str]


def write(name: str, root: Path) -> Tree:
    """Write the files of a machine."""
    row = ROWS[name]
    for path, text in row.get("files", {}).items():
        _put(root / path, text.encode())
    if "elf" in row:
        machine, elf_class = row["elf"]
        head = b"\x7fELF" + bytes([elf_class, 1, 1]) + bytes(9) + struct.pack("<HH", 3, machine)
        _put(root / "bin/sh", head + bytes(44))
    environment = {}
    if "conda" in row:
        record = {"name": "python", "subdir": row["conda"]}
        if "conda_channel" in row:
            record["channel"] = row["conda_channel"]
        path = root / "opt/conda/conda-meta/python-3.12.8-h1_0.json"
        _put(path, json.dumps(record).encode())
        environment = {"CONDA_EXE": "/opt/conda/bin/conda"}
    system = None
    if "system" in row:
        virtual = tuple(row["system"]["virtual_packages"])
        system = System(**{**row["system"], "virtual_packages": virtual})
    return Tree(root=root, system=system, environment=environment)


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
