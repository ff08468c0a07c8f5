"""Ways to ask for something a little different, each with what it costs the person who asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from generator.explaining.facts import facts
from generator.explaining.findings import Finding
from generator.explaining.request import Request, channel_of, name_of, parsed

#: what a person gives up or changes: commands that differ in it are worth showing beside another
Choice = Literal[
    "name",
    "channel",
    "priority",
    "cpu",
    "override",
    "build",
    "version",
    "python",
    "subdir",
    "drop",
]
_COST: dict[Choice, float] = {
    "name": 0.5,
    "channel": 1.0,
    "priority": 2.0,
    "build": 3.0,
    "cpu": 3.2,
    "override": 3.3,
    "python": 3.5,
    "version": 4.0,
    "subdir": 2.2,
    "drop": 6.0,
}
#: leaving out a package that only chooses a build gives nothing up
_SWITCH_COST = 2.5
#: changes that concern many packages are made to all of them at once, at these costs: each more
#: than changing two of them, less than changing three
_MANY = 3
_TOGETHER: dict[Choice, float] = {"build": 7.0, "version": 8.5, "drop": 12.5}
#: packages for which each change is tried alone, too; an exported environment has hundreds
_ALONE = 4
#: names in one sentence
_NAMED = 4


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
    request: Request,
    found: Iterable[Finding],
    *,
    ours: str,
    base: Iterable[str],
    native: str,
    prepares: bool,
    excluded: Mapping[str, str],
) -> list[Edit]:
    """Return what could help, going by the causes.

    Args:
        request: what was asked for.
        found: the causes of its failure.
        ours: our channel's name, "" for none.
        base: the channels that ours needs beside it.
        native: the subdir of the hardware, "" where the request is for that already.
        prepares: whether the machine may prepare an environment for one with a GPU.
        excluded: packages, and the versions of them that do not run on the machine.

    """
    findings = list(found)
    possible = [
        *_names(request, findings),
        *_channels(request, ours, tuple(base)),
        *_priority(request),
        *(_override(findings) if prepares else []),
        *_running(request, excluded),
        *_specs(request, findings),
        *_together(request, findings),
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


def _override(findings: list[Finding]) -> list[Edit]:
    """Prepare an environment for a machine with a driver, as on a cluster's login node."""
    needed = [f.needed for f in findings if f.virtual == "__cuda" and not f.found]
    if not needed:
        return []
    versions = [facts().override_cuda, *re.findall(r"\d+(?:\.\d+)?", " ".join(needed))]
    cuda = max(versions, key=lambda text: [int(part) for part in text.split(".")])
    words = f"for a machine with a driver for CUDA {cuda}, prepared on this one"
    override = (f"__cuda={cuda}",)
    return [_edit("override", "cpu", words, lambda r: replace(r, overrides=override))]


def _running(request: Request, excluded: Mapping[str, str]) -> list[Edit]:
    """Ask for versions that run on the machine, of what installs there and does not run."""
    return [
        _edit(
            "version",
            spec,
            f"with a {spec} that runs on this machine",
            _swapper(spec, spec + ",".join(f"!={part}" for part in excluded[spec].split("|"))),
        )
        for spec in request.specs
        if spec in excluded
    ]


def _specs(request: Request, findings: list[Finding]) -> list[Edit]:
    found = []
    asked_cuda = [spec for spec in request.specs if _on_cpu(spec) != spec]
    if asked_cuda:
        found.append(_edit("cpu", "cpu", "on the CPU", _to_cpu))
    guilty = _guilty(request, findings)
    for spec in guilty if len(guilty) <= _ALONE else ():
        wanted, name = parsed(spec), name_of(spec)
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


def _guilty(request: Request, findings: Iterable[Finding]) -> list[str]:
    """Return the packages that a cause is about, Python aside."""
    named = {s for finding in findings for s in (*finding.spec.split(), *finding.against)}
    return [spec for spec in request.specs if spec in named and name_of(spec) != "python"]


def _together(request: Request, findings: list[Finding]) -> list[Edit]:
    """Change many packages in one go: what an environment from another machine needs."""
    guilty = _guilty(request, findings)
    nowhere = {"absent", "elsewhere"}
    causes: dict[str, set[str]] = {}
    for finding in findings:
        causes.setdefault(finding.spec, set()).add(finding.cause)
    gone = [spec for spec in guilty if causes.get(spec) and causes[spec] <= nowhere]
    pinned = [s for s in request.specs if name_of(s) != "python" and s != name_of(s)]
    built = [spec for spec in pinned if parsed(spec).build is not None]
    changes: list[tuple[Choice, str, list[str], Callable[[str], str | None]]] = [
        ("build", "with any builds of", built, _without_build),
        ("version", "with other versions of", [s for s in pinned if s in guilty], name_of),
        ("version", "with other versions of", pinned, name_of),
        ("drop", "without", gone, lambda _: None),
    ]
    return [
        _edit(
            choice,
            f"all {choice}",
            f"{words} {_few(s for s in specs if choice == 'drop' or s not in gone)}",
            _each(specs, new, every=specs is pinned),
            cost,
        )
        for number, (choice, words, specs, new) in enumerate(changes)
        if len(specs) >= (_MANY if len(guilty) <= _ALONE else 1)
        for cost in (_TOGETHER[choice] + number / 10,)
    ]


def _few(specs: Iterable[str]) -> str:
    names = [name_of(spec) for spec in specs]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _each(
    specs: Iterable[str], new: Callable[[str], str | None], *, every: bool
) -> Callable[[Request], Request]:
    """Change specs by their names: another edit may have changed what stands behind those."""
    names = {name_of(spec) for spec in specs}

    def apply(asked: Request) -> Request:
        for spec in asked.specs:
            if name_of(spec) in names or (every and name_of(spec) != "python"):
                asked = asked.swap(spec, new(spec))
        return asked

    return apply


def _without_build(spec: str) -> str:
    return f"{name_of(spec)}{_version(parsed(spec).version)}"


def _python(request: Request) -> list[Edit]:
    pinned = [spec for spec in request.solved if name_of(spec) == "python" and spec != "python"]
    if not pinned:
        return []

    def apply(asked: Request) -> Request:
        kept = tuple(spec for spec in asked.specs if name_of(spec) != "python")
        return replace(asked.anew(), specs=("python", *kept))

    found = [_edit("python", "python", "with another Python", apply)]
    for spec in pinned:
        # one exact build of an environment from another platform
        if (exact := re.match(r"python=+(\d+\.\d+)\.\d", spec)) and spec in request.specs:
            words = f"with any Python {exact[1]}"
            change = _swapper(spec, f"python={exact[1]}")
            found.append(_edit("build", "python", words, change))
    return found


def _subdir(native: str) -> list[Edit]:
    if not native:
        return []

    def apply(asked: Request) -> Request:
        return replace(asked.anew(), subdir=native)

    return [_edit("subdir", "subdir", f"in an environment for {native}", apply)]


def _drops(request: Request, findings: list[Finding]) -> list[Edit]:
    found = []
    guilty = _guilty(request, findings)
    for spec in guilty if len(guilty) <= _ALONE and len(request.specs) > 1 else ():
        name = name_of(spec)
        cost = _SWITCH_COST if name in facts().switches else None
        found.append(_edit("drop", spec, f"without {name}", _swapper(spec, None), cost))
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
