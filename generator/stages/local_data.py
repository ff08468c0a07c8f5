"""The rows that a channel lays over armtorch's own, each read as the program reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from generator.datafiles import LOCAL, local_files, merged_data
from generator.errors import SelectionError
from generator.explaining.facts import jetpacks, releases, warnings
from generator.inspecting.findings import linkage_policy
from generator.inspecting.imports import import_rows
from generator.inspecting.pairing import pairing_names
from generator.matrix.smithy import smithy
from generator.naming import sonames
from generator.naming.licensing import license_names
from generator.naming.projects import name_map
from generator.packages import packages
from generator.rendering import action_pins, workflow_settings
from generator.rendering.layout import layouts
from generator.rendering.licenses import bundled_rows
from generator.upstream import sharing_rules
from generator.upstream.policy import trio_policy

#: what reads each file and refuses a row that does not fit
READERS: Final[dict[str, Callable[[], object]]] = {
    "action_pins.yaml": action_pins,
    "imports.yaml": import_rows,
    "jetson.yaml": jetpacks,
    "layout.yaml": layouts,
    "license_names.yaml": license_names,
    "licenses.yaml": bundled_rows,
    "linkage_policy.yaml": linkage_policy,
    "packages.yaml": packages,
    "pairing.yaml": pairing_names,
    "pypi_names.yaml": name_map,
    "releases.yaml": releases,
    "sharing_rules.yaml": sharing_rules,
    "smithy.yaml": smithy,
    "sonames.yaml": lambda: sonames("linux-aarch64"),
    "trio_policy.yaml": trio_policy,
    "warnings.yaml": warnings,
    "workflows.yaml": workflow_settings,
}


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One data file, and where a channel's own rows for it are; "" where it has none."""

    name: str
    local: str = ""


def data_files() -> tuple[DataFile, ...]:
    """List the files that a channel can lay its rows over, after reading those that it has.

    Raises DataError: a row does not fit, or a file is called as none of them.
    """
    own = {path.name: str(path) for path in local_files()}
    for name in own:
        READERS[name]()
    return tuple(DataFile(name=name, local=own.get(name, "")) for name in LOCAL)


def data_file(name: str) -> Any:
    """Return one data file as armtorch reads it here; raises SelectionError, DataError."""
    full = name if name.endswith(".yaml") else f"{name}.yaml"
    if full not in READERS:
        raise SelectionError(
            f"{name!r} is no data file that a channel can lay its rows over",
            where="armtorch data",
            next_step=f"take one of: {', '.join(LOCAL)}",
        )
    READERS[full]()
    return merged_data(full)
