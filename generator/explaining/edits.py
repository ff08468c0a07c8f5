"""Ways to ask for something a little different, each with what it costs the person who asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from generator.explaining.facts import facts
from generator.explaining.findings import Finding
from generator.explaining.request import Request, channel_of, name_of, parsed

#: what a person gives up or changes: commands that differ in it are worth showing beside another
Choice = Literal[
    "name", "channel", "priority", "cpu", "build", "version", "python", "subdir", "drop"
]
_COST: dict[Choice, float] = {
    "name": 0.5,
    "channel": 1.0,
    "priority": 2.0,
    "build": 3.0,
    "cpu": 3.2,
    "python": 3.5,
    "version": 4.0,
    "subdir": 2.2,
    "drop": 6.0,
}
#: leaving out a package that only chooses a build gives nothing up
_SWITCH_COST = 2.5


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One change to a request; two edits with one key exclude each other."""

    choice: Choice
    key: str
    cost: float
    #: how the suggestion differs, in plain words; "" where the command itself shows it
    words: str
    apply: Callable[[Request], Request]


def edits(
    request: Request, found: Iterable[Finding], *, ours: str, base: Iterable[str], native: str
) -> list[Edit]:
    """Return what could help, going by the causes.

    Args:
        request: what was asked for.
        found: the causes of its failure.
        ours: our channel's name, "" for none.
        base: the channels that ours needs beside it.
        native: the subdir of the hardware, "" where the request is for that already.

    """
    findings = list(found)
    possible = [
        *_names(request, findings),
        *_channels(request, ours, tuple(base)),
        *_priority(request),
        *_specs(request, findings),
        *_python(request),
        *_subdir(native),
        *_drops(request, findings),
    ]
    return sorted(possible, key=lambda edit: edit.cost)


def _edit(
    choice: Choice,
    key: str,
    words: str,
    apply: Callable[[Request], Request],
    cost: float | None = None,
) -> Edit:
    return Edit(
        choice=choice,
        key=key,
        words=words,
        apply=apply,
        cost=_COST[choice] if cost is None else cost,
    )


def _names(request: Request, findings: list[Finding]) -> list[Edit]:
    meant = {finding.spec: finding.meant for finding in findings if finding.meant}
    for spec in request.specs:
        if (renamed := facts().renames.get(name_of(spec))) is not None:
            meant.setdefault(spec, renamed)
    if not meant:
        return []

    def apply(asked: Request) -> Request:
        for spec, name in meant.items():
            head, separator, rest = spec.rpartition("::")
            asked = asked.swap(spec, head + separator + rest.replace(name_of(spec), name, 1))
        return asked

    words = ", ".join(f"{name_of(spec)} is called {name}" for spec, name in meant.items())
    return [_edit("name", "name", words, apply)]


def _channels(request: Request, ours: str, base: tuple[str, ...]) -> list[Edit]:
    found = []
    missing = tuple(name for name in base if name not in request.searched)
    if ours and ours not in request.searched:
        first = (ours,)
        found.append(
            _edit(
                "channel",
                "channel",
                f"from {ours}",
                lambda r: replace(r, channels=(*first, *r.channels, *missing)),
            )
        )
    if missing:
        found.append(
            _edit(
                "channel",
                "channel",
                f"from {missing[0]}",
                lambda r: replace(r, channels=(*r.channels, *missing)),
                cost=1.1,
            )
        )
    return found


def _priority(request: Request) -> list[Edit]:
    # a workspace's priority is no part of a pixi command
    if not request.strict or request.client == "pixi":
        return []
    words = "without strict channel priority"
    return [_edit("priority", "priority", words, lambda r: replace(r, strict=False))]


def _specs(request: Request, findings: list[Finding]) -> list[Edit]:
    found = []
    asked_cuda = [spec for spec in request.specs if _on_cpu(spec) != spec]
    if asked_cuda:
        found.append(_edit("cpu", "cpu", "on the CPU", _to_cpu))
    guilty = {
        spec for finding in findings for spec in (*finding.spec.split(), *finding.against)
    } & set(request.specs)
    for spec in request.specs:
        wanted, name = parsed(spec), name_of(spec)
        if spec not in guilty or name == "python":
            continue
        if wanted.build is not None and spec not in asked_cuda:
            version = f"{name}{_version(wanted.version)}"
            found.append(_edit("build", spec, f"with any build of {name}", _swapper(spec, version)))
        if channel := channel_of(spec):
            words = f"{name} from any channel"
            free = spec.removeprefix(f"{channel}::")
            found.append(_edit("channel", spec, words, _swapper(spec, free)))
        if wanted.version not in {None, "*"}:
            # one exact build is of one version
            kept = wanted.build if wanted.build and "*" in wanted.build else ""
            words = f"with another version of {name}"
            other = f"{name}=*={kept}" if kept else name
            found.append(_edit("version", spec, words, _swapper(spec, other)))
    return found


def _python(request: Request) -> list[Edit]:
    pinned = [spec for spec in request.solved if name_of(spec) == "python" and spec != "python"]
    if not pinned:
        return []

    def apply(asked: Request) -> Request:
        kept = tuple(spec for spec in asked.specs if name_of(spec) != "python")
        return replace(asked.anew(), specs=("python", *kept))

    return [_edit("python", "python", "with another Python", apply)]


def _subdir(native: str) -> list[Edit]:
    if not native:
        return []

    def apply(asked: Request) -> Request:
        return replace(asked.anew(), subdir=native)

    return [_edit("subdir", "subdir", f"in an environment for {native}", apply)]


def _drops(request: Request, findings: list[Finding]) -> list[Edit]:
    guilty = {spec for f in findings for spec in (*f.spec.split(), *f.against)}
    found = []
    for spec in request.specs:
        name = name_of(spec)
        if spec in guilty and name != "python" and len(request.specs) > 1:
            switch = name in facts().switches
            found.append(
                _edit(
                    "drop",
                    spec,
                    f"without {name}",
                    _swapper(spec, None),
                    cost=_SWITCH_COST if switch else None,
                )
            )
    return found


def _swapper(spec: str, new: str | None) -> Callable[[Request], Request]:
    return lambda request: request.swap(spec, new)


def _to_cpu(request: Request) -> Request:
    for spec in request.specs:
        request = request.swap(spec, _on_cpu(spec))
    return request


def _on_cpu(spec: str) -> str | None:
    """Return what asks for the same on the CPU; None to leave it out."""
    name, wanted = name_of(spec), parsed(spec)
    if name in facts().cpu_instead:
        return facts().cpu_instead[name] or None
    if "cuda" in (wanted.build or ""):
        return f"{name}{_version(wanted.version)}"
    return spec


def _version(version: str | None) -> str:
    """Write a version spec behind a name, without a space."""
    if version in {None, "*"}:
        return ""
    text = str(version)
    if text[0].isdigit():
        return f"={text.removesuffix('.*')}"
    return text
