"""environment.yml with its pip section, and locks, which are for their platforms alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from generator.documents import load_yaml
from generator.errors import SelectionError
from generator.explaining.facts import facts, pattern
from generator.explaining.reading_files import Files
from generator.explaining.reading_pip import PipRequest, read_requirements
from generator.explaining.reading_text import EXAMPLE, channel_name, refusal
from generator.explaining.request import Request, spec_of

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
