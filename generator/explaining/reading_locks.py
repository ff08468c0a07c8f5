"""Locks, @EXPLICIT, conda-lock.yml and pixi.lock: what they name is for their platforms alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

from generator.errors import SelectionError
from generator.explaining.facts import facts
from generator.explaining.reading_environment import loaded
from generator.explaining.request import Request
from generator.explaining.shell import EXAMPLE

#: an address of a package (CEP 26): channel, subdir, name, version and build
_PACKAGE = re.compile(
    r"(?P<channel>(?:https?|file)://\S+?)/(?P<subdir>(?:linux|osx|win)-[a-z0-9]+|noarch)/"
    r"(?P<name>[\w.]+(?:-[a-z_][\w.]*)*)-(?P<version>[^-\s/]+)-(?P<build>[^-\s/]+?)(?:\.conda|\.tar\.bz2)"
)
_RELOCK = {
    "@EXPLICIT": "make it again there: conda list --explicit, or conda-lock -p {subdir}",
    "conda-lock.yml": "lock again: conda-lock lock -p {subdir}",
    "pixi.lock": "pixi workspace platform add {subdir}, which locks again",
}
Row = tuple[str, str, str]


def is_explicit(text: str) -> bool:
    """Whether a text is a list of addresses (conda docs, "Building identical environments")."""
    return re.search(r"(?m)^@EXPLICIT\s*$", text) is not None


def read_explicit(text: str, request: Request) -> Request:
    """Read a list of addresses; raises SelectionError."""
    rows = [(m["subdir"], m["name"], m["version"]) for m in _PACKAGE.finditer(text)]
    channels = dict.fromkeys(m["channel"] for m in _PACKAGE.finditer(text))
    return _locked(request, rows, channels, "@EXPLICIT")


def read_conda_lock(content: str, where: str, request: Request) -> Request:
    """Read conda-lock's unified file; raises SelectionError."""
    document = loaded(content, where)
    packages = document.get("package")
    rows = [
        (str(row.get("platform")), str(row.get("name")), str(row.get("version")))
        for row in (packages if isinstance(packages, list) else [])
        if isinstance(row, dict) and row.get("manager") == "conda"
    ]
    metadata = document.get("metadata")
    listed = metadata.get("channels") if isinstance(metadata, dict) else ()
    channels = [str(row["url"]) for row in listed or () if isinstance(row, dict) and "url" in row]
    return _locked(request, rows, channels, "conda-lock.yml")


def read_pixi_lock(text: str, request: Request) -> Request:
    """Read pixi's lock by its addresses; raises SelectionError.

    rattler's own reader takes a whole and consistent lock alone, and its addresses are all that
    is asked of it here.
    """
    rows = [(m["subdir"], m["name"], m["version"]) for m in _PACKAGE.finditer(text)]
    channels = re.findall(r"url:\s*[\"']?([^\s\"'}]+)", text.partition("\npackages:")[0])
    return _locked(request, rows, channels, "pixi.lock")


def _locked(request: Request, rows: list[Row], channels: Iterable[str], kind: str) -> Request:
    platforms = tuple(dict.fromkeys(row[0] for row in rows if row[0] != "noarch"))
    versions = {name: version for _, name, version in rows}
    wanted = [name for name in ("python", *facts().core) if name in versions]
    if not wanted:
        wanted = sorted(versions)[:1]
    if not wanted:
        raise SelectionError(f"no package is in this {kind}", where=kind, next_step=EXAMPLE)
    python = ".".join(versions.get("python", "").split(".")[:2])
    specs = [
        f"python={python}" if each == "python" else f"{each}={versions[each]}" for each in wanted
    ]
    kinds = ", ".join(platforms) or "noarch"
    note = f"a lock ({kind}) of {kinds} with {len(versions)} packages; {_RELOCK[kind]}"
    alias = "https://conda.anaconda.org/"
    return Request(
        client=request.client,
        verb="add" if request.client == "pixi" else "create",
        specs=tuple(specs),
        channels=tuple(dict.fromkeys(c.rstrip("/").removeprefix(alias) for c in channels)),
        defaults=request.defaults,
        target=request.target or ("-n", "torch"),
        strict=request.strict,
        subdir=request.subdir,
        origin="file",
        locked=platforms or ("noarch",),
        notes=(note,),
    )
