"""conda's environment.yml: packages, channels, platforms, and the part that is pip's."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from generator.documents import load_yaml
from generator.errors import SelectionError
from generator.explaining.facts import facts
from generator.explaining.reading_files import Files
from generator.explaining.reading_pip import PipRequest, read_requirements
from generator.explaining.request import Request, spec_of
from generator.explaining.shell import EXAMPLE

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
        raise SelectionError(
            "no environment.yml: it has no list of `dependencies`", where=where, next_step=EXAMPLE
        )
    specs = [spec_of(files.expanded(row)) for row in rows if isinstance(row, str)]
    channels = [files.expanded(str(name)) for name in _listed(document.get("channels")) if name]
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
        platforms=tuple(map(str, _listed(document.get("platforms")))),
        exported=_exported(document, specs),
        origin="file",
        document=document,
    )
    return found, _pip(rows, files)


def _pip(rows: list[Any], files: Files) -> PipRequest | None:
    """Read the pip section, a list of lines as in a requirements file."""
    lines: list[str] = []
    for row in rows:
        if isinstance(row, dict):
            lines += [str(line) for line in _listed(row.get("pip"))]
    return read_requirements("\n".join(lines), tool=PIP_SECTION, files=files)


def _exported(document: dict[str, Any], specs: list[str]) -> str:
    """Return the subdir whose `conda env export` a file is, as its packages tell; "" for none."""
    if sum(spec.count("=") == 2 for spec in specs) < facts().export_builds:
        return ""
    for pattern, subdir in facts().exports.items():
        if any(re.search(pattern, spec) for spec in specs):
            return subdir
    prefix = str(document.get("prefix") or "")
    return next((s for mark, s in facts().prefixes.items() if prefix.startswith(mark)), "linux-64")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
