"""How a suggested command differs from what was asked, computed from the two requests."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rattler import RepoDataRecord

from generator.explaining.facts import facts
from generator.explaining.records import accelerator_of
from generator.explaining.request import Request, channel_of, name_of, parsed
from generator.printing import listed


def differences(asked: Request, given: Request) -> tuple[str, ...]:
    """Return everything that the second request does not ask as the first one did."""
    return (*_machine(asked, given), *_packages(asked, given), *_channels(asked, given))


def wants_gpu(request: Request) -> bool:
    """Whether a request asks for CUDA: by a package of it, or by a build's name."""
    marks = facts().gpu_names
    return request.cuda or any(
        name_of(spec) in marks
        or name_of(spec).startswith(facts().gpu_prefixes)
        or any(mark in (parsed(spec).build or "") for mark in ("cuda", "cu1", "gpu"))
        for spec in request.specs
    )


def accelerator(records: Iterable[RepoDataRecord]) -> str:
    """Return what torch computes on in an environment, ``cpu`` or ``cuda130``; "" without torch."""
    by_name = {record.name.normalized: record for record in records}
    torch = next((by_name[name] for name in ("pytorch", "libtorch") if name in by_name), None)
    return accelerator_of(torch) if torch is not None else ""


def _machine(asked: Request, given: Request) -> Iterator[str]:
    if given.subdir and given.subdir != asked.subdir:
        slow = (
            ", under emulation, which is slow"
            if given.subdir in sum(facts().emulated_on.values(), ())
            else ""
        )
        yield f"in an environment for {given.subdir}{slow}"
    elif given.verb != asked.verb:
        yield "in an environment of its own"
    if cuda := [text.split("=")[1] for text in given.overrides if text not in asked.overrides]:
        yield f"for a machine with a driver for CUDA {cuda[0]}, prepared on this one"


def _packages(asked: Request, given: Request) -> Iterator[str]:
    theirs = {name_of(spec): spec for spec in given.specs}
    own, taken, gone = {name_of(spec) for spec in asked.specs}, set(), []
    changed: dict[str, list[str]] = {"version": [], "build": [], "channel": []}
    for spec in (*asked.specs, *(s for s in asked.beside if s not in given.beside)):
        name = name_of(spec)
        known = facts()
        others = [known.renames.get(name)]
        others += [each.split(" ")[0] for each in known.stand_ins.get(name, ())]
        others.append(_compiler(name, theirs))
        others = [each for each in others if each not in own]
        new = next((each for each in (name, *others) if each and each in theirs), None)
        if new is None:
            if spec in asked.specs:
                gone.append(name)
            continue
        taken.add(new)
        if spec in given.specs:
            continue
        if name == "python" and theirs[new] != spec:
            yield f"with {theirs[new].replace('=', ' ').replace('python', 'Python')}"
            continue
        if new != name:
            called = facts().renames.get(name) == new
            yield f"{name} is called {new}" if called else f"with {new} instead of {name}"
        # of a name that is asked for twice, the other spec is what is left
        lost = {*_lost(spec, theirs[new])} - ({"version"} if theirs[new] in asked.specs else set())
        for part in lost:
            changed[part].append(new)
    if gone:
        yield f"without {_all(gone)}"
    if added := [spec for name, spec in theirs.items() if name not in taken]:
        yield f"with {_all(added)}"
    yield from _changed(changed, asked.exported)


def _changed(changed: Mapping[str, Sequence[str]], exported: str) -> Iterator[str]:
    """Say of which packages the version, the build or the channel is another one."""
    if names := changed["version"]:
        yield f"with {'other versions' if names[1:] else 'another version'} of {_all(names)}"
    if changed["build"] and exported:
        yield f"without the builds of {exported}"
    elif names := changed["build"]:
        yield f"with any {'builds' if names[1:] else 'build'} of {_all(names)}"
    if names := changed["channel"]:
        yield f"{_all(names)} from any channel"


def _compiler(name: str, theirs: Iterable[str]) -> str | None:
    """Return what stands for another platform's compiler package, ``gcc_linux-aarch64``."""
    stem = next((name.removesuffix(s) for s in facts().subdirs if name.endswith(f"_{s}")), name)
    return next((each for each in theirs if stem != name and each.startswith(stem)), None)


def _lost(spec: str, given: str) -> Iterator[str]:
    """Return which parts of a spec are not as they were."""
    one, other = parsed(spec), parsed(given)
    if str(one.version or "*") != str(other.version or "*"):
        yield "version"
    builds = [(each.build, each.build_number) for each in (one, other)]
    if any(builds[0]) and builds[0] != builds[1]:
        yield "build"
    if channel_of(spec) and not channel_of(given):
        yield "channel"


def _channels(asked: Request, given: Request) -> Iterator[str]:
    if added := [name for name in given.searched if name not in asked.searched]:
        yield f"from {_all(added)}"
    own = asked.defaults if given.override and not asked.override else ()
    named = (*asked.channels, *own, *filter(None, map(channel_of, asked.specs)))
    if gone := [name for name in dict.fromkeys(named) if name not in given.searched]:
        yield f"without the channel{'s' if gone[1:] else ''} {_all(gone)}"
    if asked.strict and not given.strict:
        yield "without strict channel priority"


def _all(parts: Iterable[str]) -> str:
    """Name all of them: nothing may change without a word."""
    return listed(dict.fromkeys(parts), most=sys.maxsize)
