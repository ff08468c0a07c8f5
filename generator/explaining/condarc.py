"""A person's own conda configuration: which channels are asked, where they are, how strictly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generator.documents import limits, load_yaml, read_bytes
from generator.errors import MalformedError
from generator.explaining.reading_text import decoded, in_all

#: places in ascending priority (conda docs, "Using the .condarc conda configuration file",
#: "Searching for .condarc"; conda/base/constants.py, SEARCH_PATH). {…} are variables.
_PLACES = (
    "/etc/conda", "/var/lib/conda", "{CONDA_ROOT}", "{MAMBA_ROOT_PREFIX}",
    "{XDG_CONFIG_HOME}/conda", "{HOME}/.config/conda", "{HOME}/.conda", "{HOME}", "{CONDA_PREFIX}",
)  # fmt: skip
_NAMES = ("condarc", ".condarc", "condarc.d/*.y*ml", ".mambarc")


@dataclass(frozen=True, kw_only=True)
class Condarc:
    """What all configuration files and CONDA_* variables say together; None for nothing."""

    channels: tuple[str, ...] | None = None
    strict: bool | None = None
    alias: str | None = None
    #: what ``defaults`` stands for
    default_channels: tuple[str, ...] | None = None
    #: channel to the address below which it is
    custom: Mapping[str, str] = field(default_factory=dict)
    #: one name for several channels
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    denied: tuple[str, ...] = ()
    #: the only ones that may be asked; () for all
    allowed: tuple[str, ...] = ()
    #: by scheme, ``http`` or ``https``
    proxies: Mapping[str, str] = field(default_factory=dict)
    verify: bool | str = True


def read_condarc(root: Path, environment: Mapping[str, str]) -> Condarc:
    """Read the configuration as conda does: lists of all files together, else the nearest file's.

    What cannot be read is left to conda to complain about.
    """
    documents = [*_documents(root, environment), _variables(environment)]

    def known(text: str) -> str:  # conda puts in variables in all of a file
        return re.sub(r"\$\{?(\w+)\}?", lambda match: environment.get(match[1], match[0]), text)

    documents = [in_all(document, known) for document in documents]
    priority = _last(documents, "channel_priority")
    verify = _last(documents, "ssl_verify")
    return Condarc(
        channels=_list(documents, "channels"),
        strict=None if priority is None else str(priority) in {"strict", "True", "true"},
        alias=str(alias).rstrip("/") if (alias := _last(documents, "channel_alias")) else None,
        default_channels=_list(documents, "default_channels"),
        custom={str(k): str(v).rstrip("/") for k, v in _map(documents, "custom_channels").items()},
        groups={
            str(k): tuple(map(str, v))
            for k, v in _map(documents, "custom_multichannels").items()
            if isinstance(v, list)
        },
        denied=_list(documents, "denylist_channels") or (),
        allowed=_list(documents, "allowlist_channels") or (),
        proxies={str(k): str(v) for k, v in _map(documents, "proxy_servers").items() if v},
        verify=verify if isinstance(verify, bool | str) and verify != "truststore" else True,
    )


def _documents(root: Path, environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    home = environment.get("HOME") or environment.get("USERPROFILE") or ""
    known = {**environment, "HOME": home}
    if executable := environment.get("CONDA_EXE") or environment.get("MAMBA_EXE"):
        known.setdefault("CONDA_ROOT", re.sub(r"[/\\][^/\\]+[/\\][^/\\]+$", "", executable))
    seen = set()
    for place in _PLACES:
        names = re.findall(r"\{(\w+)\}", place)
        if any(not known.get(name) for name in names):
            continue
        for name in _NAMES:
            pattern = f"{place.format(**known)}/{name}"
            if pattern not in seen:
                seen.add(pattern)
                yield from _load(root, pattern)
    for variable in ("MAMBARC", "CONDARC"):
        if environment.get(variable):
            yield from _load(root, environment[variable])


def _load(root: Path, place: str) -> Iterator[dict[str, Any]]:
    path = root / place.lstrip("/\\") if root != Path("/") else Path(place)
    paths = sorted(path.parent.glob(path.name)) if "*" in path.name else [path]
    for each in paths:
        try:
            content = read_bytes(each, limits().yaml.bytes)
            loaded = load_yaml(decoded(content), str(each))
        except (OSError, ValueError, MalformedError):
            continue
        if isinstance(loaded, dict):
            yield loaded


def _variables(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what CONDA_CHANNELS and its like say (conda docs, "Settings")."""
    found: dict[str, Any] = {}
    for key in ("channels", "default_channels", "denylist_channels", "allowlist_channels"):
        if value := environment.get(f"CONDA_{key.upper()}"):
            found[key] = [part for part in re.split(r"[,&]", value) if part]
    for key in ("channel_alias", "channel_priority", "ssl_verify"):
        if value := environment.get(f"CONDA_{key.upper()}"):
            found[key] = {"false": False, "true": True}.get(value.lower(), value)
    return found


def _last(documents: list[dict[str, Any]], key: str) -> Any:
    found = [document[key] for document in documents if document.get(key) is not None]
    return found[-1] if found else None


def _list(documents: list[dict[str, Any]], key: str) -> tuple[str, ...] | None:
    """Put lists together, that of the nearest file first (conda/common/configuration.py)."""
    lists = [document[key] for document in documents if isinstance(document.get(key), list)]
    if not lists:
        return None
    return tuple(dict.fromkeys(str(each) for found in reversed(lists) for each in found))


def _map(documents: list[dict[str, Any]], key: str) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for document in documents:
        if isinstance(document.get(key), dict):
            found |= document[key]
    return found
