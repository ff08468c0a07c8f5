"""A request taken apart into what can be given up alone, the most important first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from generator.explaining.facts import aside, is_switch
from generator.explaining.request import Request, channel_of, name_of, parsed

#: in the order in which they are kept; the last is dropped first
Kind = Literal["name", "python", "major", "minor", "patch", "channel", "build", "switch"]
_KINDS: tuple[Kind, ...] = (
    "name", "python", "major", "minor", "patch", "channel", "build", "switch",
)  # fmt: skip
_NUMBERS = re.compile(r"^(?:==)?(?P<parts>\d+(?:\.\w+)*)(?:\.\*)?$")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One thing that is asked of one package, as a spec of its own: solvers take all of a name."""

    kind: Kind
    name: str
    #: what the solver is told
    spec: str
    #: the spec of the request that it is a part of
    of: str


def wishes(request: Request) -> tuple[Wish, ...]:
    """Take a request apart, the most important wish first, the packages it is about before others.

    Raises:
        SelectionError: a spec is none.

    """
    found = [(wish, place) for place, spec in enumerate(request.specs) for wish in _of(spec)]
    found += [(wish, len(found)) for spec in request.beside for wish in _of(spec)]
    found.sort(key=lambda pair: (_KINDS.index(pair[0].kind), aside(pair[0].name), pair[1]))
    return tuple(wish for wish, _ in found)


def composed(request: Request, kept: Iterable[Wish]) -> Request:
    """Return the request for what is kept of it, in the order in which it was asked."""
    groups: dict[str, list[Wish]] = {}
    for wish in kept:
        groups.setdefault(wish.of, []).append(wish)
    specs = [_written(groups[spec], spec) for spec in request.specs if spec in groups]
    # one name that was asked for twice says nothing where it is left bare
    specs = [spec for spec in specs if not any(name_of(o) == spec != o for o in specs)]
    beside = [_written(groups[spec], spec) for spec in request.beside if spec in groups]
    return replace(request, specs=tuple(dict.fromkeys(specs)), beside=tuple(beside))


def _of(spec: str) -> Iterator[Wish]:
    name, wanted = name_of(spec), parsed(spec)
    switch = is_switch(name)

    def wish(kind: Kind, text: str) -> Wish:
        return Wish(kind="switch" if switch else kind, name=name, spec=text, of=spec)

    yield wish("name", name)
    for kind, version in _versions(str(wanted.version or "*"), python=name == "python"):
        yield wish(kind, f"{name} {version}")
    if channel := channel_of(spec):
        yield wish("channel", f"{channel}::{name}")
    if wanted.build is not None or wanted.build_number is not None:
        number = f'[build_number="{wanted.build_number}"]' if wanted.build_number else ""
        yield wish("build", f"{name} * {wanted.build or '*'}" if wanted.build else name + number)


def _versions(version: str, *, python: bool) -> Iterator[tuple[Kind, str]]:
    if version == "*":
        return
    if (match := _NUMBERS.match(version)) is None:
        for part in version.split(","):
            yield "python" if python else "minor", part
        return
    parts = match["parts"].split(".")
    if not python:
        yield "major", f"{parts[0]}.*"
    if len(parts) > 1:
        yield "python" if python else "minor", f"{parts[0]}.{parts[1]}.*"
    if len(parts) > 2 or version.startswith("=="):
        yield "patch", version
    if python and len(parts) == 1:
        yield "python", f"{parts[0]}.*"


def _written(kept: Sequence[Wish], spec: str) -> str:
    """Write what is kept of a spec as people do."""
    name = kept[0].name
    if {wish.spec for wish in _of(spec)} == {wish.spec for wish in kept}:
        return spec
    versions = [w.spec.split(" ", 1)[1] for w in kept if " " in w.spec and " * " not in w.spec]
    # of 1.*, 1.13.* and ==1.13.1 the last one says it all
    exact = [text for text in versions if _NUMBERS.match(text)]
    version = ",".join(text for text in versions if text not in exact[:-1])
    build = next((w.spec.split(" * ")[1] for w in kept if " * " in w.spec), "")
    channel = next((w.spec.partition("::")[0] + "::" for w in kept if "::" in w.spec), "")
    if build and not version.startswith(("<", ">", "!", "~")):
        return f"{channel}{name}={version.removeprefix('==') or '*'}={build}"
    if build or ("," in version and version[0].isdigit()):
        return " ".join(each for each in (f"{channel}{name}", version, build) if each)
    if version.endswith(".*"):
        version = f"={version.removesuffix('.*')}"
    number = next((w.spec.removeprefix(name) for w in kept if "[build_number" in w.spec), "")
    return f"{channel}{name}{version}{number}"
