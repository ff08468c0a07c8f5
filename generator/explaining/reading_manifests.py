"""environment.yml and locks; pixi.toml, and pyproject.toml as pixi, uv and poetry read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.markers import Marker

from generator.documents import load_toml, load_yaml
from generator.errors import SelectionError
from generator.explaining.facts import facts, pattern
from generator.explaining.reading_files import Files
from generator.explaining.reading_pip import PipRequest, read_requirements
from generator.explaining.reading_text import EXAMPLE, channel_name, refusal
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


#: the pip section, as messages call it
PIP_SECTION = "the pip section"


def loaded(content: str, where: str) -> dict[str, Any]:
    """Return a YAML document's mapping; raises SelectionError."""
    document = load_yaml(content.lstrip("\ufeff"), where, refuse=SelectionError, next_step=EXAMPLE)
    return document if isinstance(document, dict) else {}


def with_environment(
    request: Request, content: str, where: str, files: Files
) -> tuple[Request, PipRequest | None]:
    """Add what an environment file asks for to a request; raises SelectionError."""
    document = loaded(content, where)
    rows = document.get("dependencies")
    if not isinstance(rows, list):
        raise refusal("no environment.yml: it has no list of `dependencies`", where)
    specs = [spec_of(files.expanded(row)) for row in rows if isinstance(row, str)]
    # micromamba's selectors: `- sel(linux): pytorch-cuda` (mamba docs, "YAML spec files")
    pairs = [pair for row in rows if isinstance(row, dict) for pair in row.items()]
    marks = [(re.match(r"sel\((\w+)\)", str(key)), str(value)) for key, value in pairs]
    selected = tuple((spec_of(value), mark[1]) for mark, value in marks if mark)
    specs += [spec for spec, _ in selected]
    channels = [files.expanded(str(name)) for name in listed(document.get("channels")) if name]
    override = "nodefaults" in channels
    target = request.target
    if not target and document.get("name"):
        target = ("-n", str(document["name"]))
    found = replace(
        request,
        verb=request.verb.removeprefix("env ").replace("update", "install"),
        specs=tuple(dict.fromkeys((*request.specs, *specs))),
        channels=tuple(
            dict.fromkeys((*request.channels, *(name for name in channels if name != "nodefaults")))
        ),
        defaults=() if override else request.defaults,
        override=override or request.override,
        target=target,
        platforms=tuple(map(str, listed(document.get("platforms")))),
        selected=selected,
        exported=exported_on(specs, prefix=str(document.get("prefix") or "")),
        origin="file",
        document=document,
    )
    pip = [str(each) for row in rows if isinstance(row, dict) for each in listed(row.get("pip"))]
    around = files.beside(where)  # conda runs pip in the file's folder
    return found, read_requirements("\n".join(pip), tool=PIP_SECTION, files=around)


def exported_on(specs: Sequence[str], *, prefix: str = "", message: bool = False) -> str:
    """Return the subdir whose `conda env export` packages are of, as they tell; "" for none.

    A message names some of a file's packages alone, so that their names are all that tells.
    """
    builds = sum(re.fullmatch(r"[^=]+==?[^=]+=[^=]+", spec) is not None for spec in specs)
    pins = sum(re.fullmatch(r"[\w.-]+==?[^=*<>,|]+", spec) is not None for spec in specs)
    without = pins == len(specs) >= facts().export_pins  # conda env export --no-builds
    if builds < facts().export_builds and not without and not message:
        return ""
    for mark, subdir in facts().exports.items():
        if any(re.search(mark, spec) for spec in specs):
            return subdir
    usual = "" if without or message else "linux-64"
    return next((s for mark, s in facts().prefixes.items() if prefix.startswith(mark)), usual)


def listed(value: Any) -> list[Any]:
    """Return what may be one or several as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


def read_lock(text: str, request: Request) -> Request | None:
    """Read a lock by the addresses in it; None for what is none.

    They are all that is asked of it here; rattler's own reader takes a whole lock of pixi's alone.
    """
    kind = next((kind for kind, (mark, _) in facts().locks.items() if re.search(mark, text)), "")
    rows = list(pattern("package").finditer(text)) if kind else []
    if not rows:
        return None
    head = re.split(r"\npackages?:", text)[0]
    channels = re.findall(r"\burl:\s*[\"']?([^\s\"'},]+)", head) or [m["channel"] for m in rows]
    platforms = tuple(dict.fromkeys(m["subdir"] for m in rows if m["subdir"] != "noarch"))
    versions = {m["name"]: m["version"] for m in rows}
    wanted = [name for name in ("python", *facts().core) if name in versions]
    python = ".".join(versions.get("python", "").split(".")[:2])
    specs = (
        f"{n}={python if n == 'python' else versions[n]}" for n in wanted or sorted(versions)[:1]
    )
    note = f"a lock ({kind}) of {', '.join(platforms) or 'noarch'} with {len(versions)} packages"
    return Request(
        client=request.client,
        verb="add" if request.client == "pixi" else "create",
        specs=tuple(specs),
        channels=tuple(dict.fromkeys(map(channel_name, channels))),
        defaults=request.defaults,
        target=request.target or ("-n", "torch"),
        strict=request.strict,
        subdir=request.subdir,
        origin="file",
        locked=platforms,
        notes=(note, facts().locks[kind][1]),
    )
