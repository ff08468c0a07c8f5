"""pixi's manifests, pixi.toml and pyproject.toml (pixi docs, "The pixi.toml manifest")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from generator.documents import load_toml
from generator.errors import SelectionError
from generator.explaining.reading_files import Files
from generator.explaining.reading_pip import PipRequest, read_requirements
from generator.explaining.reading_text import EXAMPLE, refusal
from generator.explaining.request import Request, spec_of

_OF_PYPI = "pixi add --pypi"


def read_manifest(content: str, *, where: str, subdir: str) -> list[Request | PipRequest]:
    """Read each environment of a manifest as it is for a subdir.

    Raises:
        SelectionError: it is no TOML, or no manifest of pixi.

    """
    document = load_toml(content, where, refuse=SelectionError, next_step=EXAMPLE)
    tool = document.get("tool")
    manifest = tool.get("pixi", {}) if isinstance(tool, dict) else document
    workspace = manifest.get("workspace") or manifest.get("project")
    if not isinstance(workspace, dict) or "channels" not in workspace:
        lines = _table(document, "project").get("dependencies")
        listed = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
        pip = read_requirements(listed, tool="pip install", files=Files(folder=Path(), closed=True))
        if pip is None:
            what = "neither pixi's [workspace] with channels nor [project] with dependencies"
            raise refusal(what, where)
        return [pip]
    features = _table(manifest, "feature")
    environments = _table(manifest, "environments")
    environments.setdefault("default", [])
    found: list[Request | PipRequest] = []
    for name, row in environments.items():
        names = row.get("features", []) if isinstance(row, dict) else row
        alone = isinstance(row, dict) and row.get("no-default-feature") is True
        able = [t for each in names if (t := _table(features, each).get("platforms"))]
        if subdir in workspace.get("platforms", ()) and any(subdir not in each for each in able):
            continue  # pixi makes it for the platforms of all its features alone
        parts = [*([] if alone else [manifest]), *(_table(features, each) for each in names)]
        found += _environment(str(name), parts, workspace, subdir, alone=len(environments) == 1)
    if not found:
        raise refusal(f"it asks for no package on {subdir}", where)
    return found


def _environment(
    name: str, parts: list[dict[str, Any]], workspace: dict[str, Any], subdir: str, *, alone: bool
) -> Iterator[Request | PipRequest]:
    system, family = subdir, subdir.split("-", maxsplit=1)[0]
    targets = {system, family, "unix" if family != "win" else "win"}
    tables = [
        table
        for part in parts
        for table in (part, *(_table(_table(part, "target"), each) for each in sorted(targets)))
    ]
    specs = [spec for table in tables for spec in _specs(_table(table, "dependencies"))]
    wheels = {k: v for table in tables for k, v in _table(table, "pypi-dependencies").items()}
    channels = [_channel(each) for part in parts for each in part.get("channels", ())]
    channels += [_channel(each) for each in workspace["channels"]]
    requirements = {k: v for part in parts for k, v in _table(part, "system-requirements").items()}
    cuda = requirements.get("cuda")
    cuda = cuda.get("driver") if isinstance(cuda, dict) else cuda
    platforms = tuple(str(each) for each in workspace.get("platforms", ()))
    notes = [] if alone else [f"environment {name} of the workspace"]
    if platforms and subdir not in platforms:
        notes.append(
            f"{subdir} is not among the workspace's platforms: pixi workspace platform add {subdir}"
        )
    if specs:
        yield Request(
            client="pixi",
            verb="add",
            specs=tuple(dict.fromkeys(specs)),
            defaults=tuple(dict.fromkeys(channels)),
            listed=True,
            target=("-e", name),
            strict=workspace.get("channel-priority", "strict") == "strict",
            overrides=(f"__cuda={cuda}",) if cuda else (),
            origin="file",
            notes=tuple(notes),
        )
    if wheels:
        named = {key: value for key, value in wheels.items() if not _is_elsewhere(value)}
        index = next(
            (str(v["index"]) for v in wheels.values() if isinstance(v, dict) and "index" in v), ""
        )
        yield PipRequest(
            tool=_OF_PYPI,
            target=("-e", name),
            requirements=tuple(key + _pypi(value) for key, value in named.items()),
            index=index,
            unread=tuple(key for key in wheels if key not in named),
        )


def _specs(table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, str):
            yield spec_of(_asked(name, value))
        elif isinstance(value, dict) and not {"git", "path", "url"} & value.keys():
            version, build = str(value.get("version", "*")), value.get("build")
            text = f"{name}={version}={build}" if build else _asked(name, version)
            yield spec_of(f"{value['channel']}::{text}" if "channel" in value else text)


def _asked(name: str, version: str) -> str:
    """Write a version as on a command line: a bare one begins with its digit."""
    if version == "*":
        return name
    return f"{name}={version}" if version[0].isdigit() else f"{name}{version}"


def _pypi(value: Any) -> str:
    version = value if isinstance(value, str) else str(value.get("version", "*"))
    return "" if version == "*" else version if version[0] in "<>=!~" else f"=={version}"


def _is_elsewhere(value: Any) -> bool:
    return isinstance(value, dict) and bool({"git", "path", "url"} & value.keys())


def _channel(value: Any) -> str:
    return str(value.get("channel", "")) if isinstance(value, dict) else str(value)


def _table(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return dict(found) if isinstance(found, dict) else {}
