"""A base channel of records that has all that records of ours ask for, for every subdir."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from generator.testing import NamedRecord, write_record_channel
from tests.integration.small_base import COMPILED, write_base

#: conda-forge's, of which the second is taken by who asks for it
ARM_VARIANTS = {"sbsa": "", "tegra": "arm_tegra"}


def write_whole_base(
    folder: Path, records: Iterable[NamedRecord], pythons: Sequence[str] = ("3.13",)
) -> str:
    """Write the channel; a package that ours ask for is there in the least version they take."""
    there: list[tuple[str, dict[str, Any]]] = []
    for subdir in COMPILED:
        part = folder / f"of-{subdir}"
        write_base(part, subdir, pythons)
        for path in part.glob("*/repodata.json"):
            there += json.loads(path.read_text())["packages.conda"].items()
    pybind11 = next(row for name, row in there if name.startswith("pybind11-"))
    # what torch before 2.9 takes
    there.append(("pybind11-2.13.6-0.conda", {**pybind11, "version": "2.13.6", "sha256": "0" * 64}))
    ours = [record for _, record in records]
    known = {row["name"] for row in (*ours, *(row for _, row in there))}
    for spec in {spec for row in ours for spec in row["depends"]}:
        name, _, rest = spec.partition(" ")
        if name in known or name.startswith("__"):
            continue
        version = rest.removeprefix(">=").split(",")[0].split()[0].strip("*=") if rest else "1"
        for build in ARM_VARIANTS if name == "arm-variant" else ("0",):
            record = {
                "name": name, "version": version or "1.2.0", "build": build, "build_number": 0,
                "subdir": "noarch", "noarch": "generic", "depends": [], "size": 1,
                "sha256": f"{len(there):064x}", "track_features": ARM_VARIANTS.get(build, ""),
            }  # fmt: skip
            there.append((f"{name}-{record['version']}-{build}.conda", record))
    return write_record_channel(there, folder / "conda-forge")
