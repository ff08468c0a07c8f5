"""pixi.toml (pixi docs, "The pixi.toml manifest"); pyproject.toml as pixi, uv, poetry read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.markers import Marker

from generator.documents import load_toml
from generator.errors import SelectionError
from generator.explaining.facts import facts
from generator.explaining.reading_environment import listed
from generator.explaining.reading_files import Files
from generator.explaining.reading_pip import PipRequest, read_requirements
from generator.explaining.reading_text import EXAMPLE, refusal
from generator.explaining.request import Request, spec_of
from generator.explaining.requirements import markers_of

#: what names a package that no index is asked for
_ELSEWHERE = {"git", "path", "url", "file"}
_OF_PYPI = "pixi add --pypi"
_NO_FILES = Files(folder=Path(), closed=True)


def read_manifest(content: str, *, where: str, subdir: str) -> list[Request | PipRequest]:
    """Read each environment of a manifest as it is for a subdir; raises SelectionError."""
    document = load_toml(content, where, refuse=SelectionError, next_step=EXAMPLE)
    tool = document.get("tool")
    manifest = tool.get("pixi", {}) if isinstance(tool, dict) else document
    workspace = manifest.get("workspace") or manifest.get("project")
    if not isinstance(workspace, dict) or "channels" not in workspace:
        requires = str(_table(document, "project").get("requires-python") or "")
        of_project: list[Request | PipRequest] = [
            replace(each, requires=requires) for each in _of_project(document, subdir)
        ]
        if not of_project:
            what = "neither pixi's [workspace] with channels nor a project with dependencies"
            raise refusal(what, where)
        return of_project
    features = _table(manifest, "feature")
    environments = _table(manifest, "environments")
    environments.setdefault("default", [])
    found: list[Request | PipRequest] = []
    for number, (name, row) in enumerate(environments.items()):
        names = row.get("features", []) if isinstance(row, dict) else row
        alone = isinstance(row, dict) and row.get("no-default-feature") is True
        able = [t for each in names if (t := _table(features, each).get("platforms"))]
        if subdir in workspace.get("platforms", ()) and any(subdir not in each for each in able):
            continue  # pixi makes it for the platforms of all its features alone
        parts = [*([] if alone else [manifest]), *(_table(features, each) for each in names)]
        # commands change what torch stands in: a feature, or the manifest's own table
        core = {*facts().core}
        tables = {each: _table(_table(features, each), "dependencies") for each in names}
        feature = next((each for each in names if core & tables[each].keys()), "")
        target = ("--feature", feature) if feature else ("", str(name))
        found += (
            replace(each, target=target, stage=number)
            for each in _environment(
                str(name), parts, workspace, subdir, alone=len(environments) == 1
            )
        )
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
            strict=workspace.get("channel-priority", "strict") == "strict",
            overrides=(f"__cuda={cuda}",) if cuda else (),
            origin="file",
            notes=tuple(notes),
        )
    named = {key: value for key, value in wheels.items() if not _is_elsewhere(value)}
    indexes = {key: str(_dict(value).get("index") or "") for key, value in named.items()}
    versions = {
        key: str(_dict(v).get("version", "*") if _dict(v) else v) for key, v in named.items()
    }
    pairs = [(key + _caret(version), indexes[key]) for key, version in versions.items()]
    unread = tuple(key for key in wheels if key not in named)
    yield from _by_index(pairs, tool=_OF_PYPI, unread=unread)


def _by_index(
    pairs: Iterable[tuple[str, str]], *, tool: str, unread: tuple[str, ...] = ()
) -> Iterator[PipRequest]:
    """Ask each index for what is asked of it: an index is one dependency's own."""
    groups: dict[str, list[str]] = {"": []} if unread else {}
    for requirement, index in pairs:
        groups.setdefault(index, []).append(requirement)
    for index, lines in groups.items():
        none = PipRequest(tool=tool, requirements=())
        found = read_requirements("\n".join(lines), tool=tool, files=_NO_FILES) or none
        yield replace(found, index=index, unread=(*found.unread, *(() if index else unread)))


def _of_project(document: Mapping[str, Any], subdir: str) -> Iterator[PipRequest]:
    """Read [project] with uv's sources (uv docs, "Managing dependencies"), and poetry's."""
    tool = _table(document, "tool")
    uv, poetry = _table(tool, "uv"), _table(tool, "poetry")
    groups = [_table(poetry, "group").get(each) for each in _table(poetry, "group")]
    tables = [poetry, *({} if _dict(g).get("optional") else _dict(g) for g in groups)]
    named = (uv.get("index"), poetry.get("source"))
    urls = {
        str(row.get("name")): str(row.get("url"))
        for rows in named
        for row in listed(rows)
        if isinstance(row, dict)
    }
    project, sources = _table(document, "project"), _table(uv, "sources")

    def pairs_of(rows: Any, extra: str) -> list[tuple[str, str]]:
        texts = [row for row in listed(rows) if isinstance(row, str)]
        return [(row, _source(row, extra, sources, subdir)) for row in texts]

    # of extras and groups, those that are about torch, each by itself
    extras = _table(project, "optional-dependencies") | _table(document, "dependency-groups")
    for extra, rows in extras.items():
        more = pairs_of(rows, extra)
        if any(_project(row) in facts().torch_projects for row, _ in more):
            for each in _by_index([(row, urls.get(i, "")) for row, i in more], tool="pip install"):
                yield replace(each, notes=(f"{extra} of the project's extras and groups",))
    pairs = pairs_of(project.get("dependencies"), "")
    unread = []
    for table in tables:
        for name, value in _table(table, "dependencies").items():
            for each in listed(value):
                row = _dict(each)
                if _is_elsewhere(row) and _holds(_marker(row)[2:], subdir):
                    unread.append(str(row.get("file") or row.get("url") or name))
                elif name != "python" and not _is_elsewhere(row) and not row.get("optional"):
                    version = str(row.get("version", "*") if row else each)
                    index = row.get("source") or row.get("index", "")
                    pairs.append((name + _caret(version) + _marker(row), index))
    asked = [(row, urls.get(str(i), "")) for row, i in pairs]
    yield from _by_index(asked, tool="pip install", unread=tuple(unread))


def _holds(marker: Any, subdir: str) -> bool:
    return not marker or Marker(str(marker)).evaluate(markers_of(subdir, ""))


def _project(row: str) -> str:
    return re.split(r"[^\w.-]", row)[0].lower()


def _source(row: str, extra: str, sources: Mapping[str, Any], subdir: str) -> str:
    """Return the index that uv takes a requirement from (uv docs, "Multiple sources")."""
    for each in map(_dict, listed(sources.get(_project(row)))):
        of = each.get("extra") or each.get("group")
        if of in {None, extra} and _holds(each.get("marker"), subdir):
            return str(each.get("index") or "")
    return ""


def _caret(version: str) -> str:
    """Write poetry's constraint as a specifier (poetry docs, "Dependency specification")."""
    parts = []
    for text in version.replace(" ", "").split(","):
        numbers = [int(each) for each in re.findall(r"\d+", text.split("+")[0])]
        if text[:1] not in "^~" or text.startswith("~=") or not numbers:
            parts.append("" if text == "*" else text if text[0] in "<>=!~" else f"=={text}")
            continue
        first = next((n for n, each in enumerate(numbers) if each), len(numbers) - 1)
        last = first if text[0] == "^" else min(1, len(numbers) - 1)
        above = [*numbers[:last], numbers[last] + 1]
        parts.append(f">={text[1:].split('+')[0]},<{'.'.join(map(str, above))}")
    return ",".join(parts)


def _marker(row: Mapping[str, Any]) -> str:
    marks = [f"sys_platform == '{row['platform']}'"] if "platform" in row else []
    marks += [str(row["markers"])] if "markers" in row else []
    return f"; {' and '.join(marks)}" if marks else ""


def _specs(table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, str):
            yield spec_of(_asked(name, value))
        elif isinstance(value, dict) and not _ELSEWHERE & value.keys():
            version, build = str(value.get("version", "*")), value.get("build")
            text = f"{name}={version}={build}" if build else _asked(name, version)
            yield spec_of(f"{value['channel']}::{text}" if "channel" in value else text)


def _asked(name: str, version: str) -> str:
    """Write a version as on a command line: a bare one begins with its digit."""
    if version == "*":
        return name
    return f"{name}={version}" if version[0].isdigit() else f"{name}{version}"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_elsewhere(value: Any) -> bool:
    return isinstance(value, dict) and bool(_ELSEWHERE & value.keys())


def _channel(value: Any) -> str:
    return str(value.get("channel", "")) if isinstance(value, dict) else str(value)


def _table(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return dict(found) if isinstance(found, dict) else {}
