"""The channels that a person's own conda configuration names, and how strictly they are taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.documents import limits, load_yaml, read_bytes
from generator.errors import MalformedError


@dataclass(frozen=True, kw_only=True)
class Condarc:
    """What a .condarc says; None where it says nothing."""

    channels: tuple[str, ...] | None = None
    strict: bool | None = None


def read_condarc(root: Path, environment: Mapping[str, str]) -> Condarc:
    """Read the first configuration that names channels.

    The places are those of conda's documentation ("Using the .condarc conda configuration file",
    search path), the person's own first. What cannot be read is left to conda to complain about.
    """
    places = [environment.get("CONDARC", "")]
    if home := environment.get("HOME") or environment.get("USERPROFILE"):
        places += [f"{home}/.condarc", f"{home}/.conda/.condarc", f"{home}/.mambarc"]
    prefixes = [environment[key] for key in ("CONDA_PREFIX", "CONDA_ROOT") if key in environment]
    places += [f"{prefix}/.condarc" for prefix in prefixes]
    places.append("/etc/conda/.condarc")
    channels: tuple[str, ...] | None = None
    strict: bool | None = None
    for place in places:
        found = _load(root / place.lstrip("/\\") if root != Path("/") else Path(place))
        if channels is None and isinstance(named := found.get("channels"), list):
            channels = tuple(str(name) for name in named)
        if strict is None and "channel_priority" in found:
            strict = str(found["channel_priority"]) == "strict"
    return Condarc(channels=channels, strict=strict)


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = load_yaml(read_bytes(path, limits().yaml.bytes), str(path))
    except (OSError, MalformedError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
