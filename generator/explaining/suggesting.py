"""Which commands are shown: the one that keeps most, and others that give up something else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from rattler import Version

from generator.explaining.differing import accelerator, wants_gpu
from generator.explaining.facts import facts, is_switch
from generator.explaining.findings import Finding
from generator.explaining.records import accelerator_of
from generator.explaining.request import Request, Wish, name_of, parsed, wishes
from generator.explaining.searching import Search, Suggestion

#: commands that are shown
SHOWN: Final = 3


def suggestions(
    request: Request, found: tuple[Finding, ...], search: Search
) -> tuple[tuple[Suggestion, ...], Suggestion | None]:
    """Return commands that were solved, the one that keeps most of what was asked for first.

    Beside them, for who asked for a GPU and is given none: the command with a driver that has one.
    """
    context = search.context
    asked = _meant(_called(_of_here(request, context.machine.subdir), found))
    wanted = wishes(asked)
    native = context.native if request.subdir != context.native else ""
    shown = _best(asked, wanted, native, search, found)
    best = shown[0] if shown else None
    if best is None or not all(_named(best, wanted)):
        shown += _emulated(asked, wanted, search, best)
    told = None
    if best is not None and wants_gpu(asked) and accelerator(best.solution) == "cpu":
        told = _with_driver(asked, search)
    driver = any(finding.virtual == "__cuda" and finding.found for finding in found)
    if told is not None and context.prepares and not driver:
        shown.append(told)
    if best is not None and not (search.late or search.prober.impatient):
        shown += _others(asked, wanted, search, best)
    commands: dict[str, Suggestion] = {}
    for each in shown:
        if not any(_same(each, other) for other in commands.values()):
            commands.setdefault(each.request.command(), each)
    return tuple(commands.values())[:SHOWN], told


def _with_driver(request: Request, search: Search) -> Suggestion | None:
    """Return the request told of the oldest driver that gives torch a GPU; None where none does."""
    lines = {
        accelerator_of(record)
        for place in search.context.rooms(request)
        for name in ("pytorch", "libtorch")
        for record in search.visible(name, place)
    }
    versions = [f"{text[4:-1]}.{text[-1]}" for text in lines if re.fullmatch(r"cuda\d+", text)]
    for version in sorted(versions, key=Version):
        told = replace(request, overrides=(f"__cuda={version}",))
        found = search.best(search.context.rooms(told), wishes(told))
        if found is not None and accelerator(found.solution).startswith("cuda"):
            return found
    return None


def _of_here(request: Request, subdir: str) -> Request:
    """Leave out what is another platform's: an export's builds, and the names of compilers."""
    foreign = request.exported not in {"", subdir}
    specs = []
    for spec in request.specs:
        name, wanted = name_of(spec), parsed(spec)
        version = str(wanted.version or "*").removesuffix(".*").removeprefix("==")
        head, separator, _ = spec.rpartition("::")
        bare = foreign and wanted.build is not None
        plain = f"{head}{separator}{name}={version}" if bare else spec
        mark = next((f"_{each}" for each in facts().subdirs if name.endswith(f"_{each}")), "")
        specs.append(plain.replace(mark, f"_{subdir}") if mark else plain)
    return replace(request, specs=tuple(specs))


def _called(request: Request, found: tuple[Finding, ...]) -> Request:
    """Write names as channels have them."""
    # of a word that is only like another's name nobody knows that it was meant
    sure = (f for f in found if f.meant in facts().core or _plain(f.meant) == _plain(f.package))
    meant = {finding.spec: finding.meant for finding in sure if finding.meant}
    for spec in request.specs:
        if (renamed := facts().renames.get(name_of(spec))) is not None:
            meant.setdefault(spec, renamed)
    for spec, name in meant.items():
        head, separator, rest = spec.rpartition("::")
        request = request.swap(spec, head + separator + rest.replace(name_of(spec), name, 1))
    return request


def _plain(name: str) -> str:
    return re.sub(r"[-_.]", "", name)


def _meant(asked: Request) -> Request:
    """Who is told of nothing but switches of torch's build asked for torch itself.

    A message names what was not found alone: of its other packages nothing is known.
    """
    return replace(asked, specs=(*facts().trio, *asked.specs)) if only_switches(asked) else asked


def only_switches(request: Request) -> bool:
    """Whether a request names switches of torch's build, and not torch; what is x86's is none."""
    names = [name_of(spec) for spec in request.specs]
    switches = [name for name in names if is_switch(name)]
    alone = all(name in (*switches, "python") for name in names)
    if any(name in facts().core for name in names):
        return False
    if request.origin != "error":  # who types the toolkit's name wants that
        return alone and any(name in facts().own_switches for name in names)
    return bool(switches) and (alone or any(name not in facts().x86_only for name in switches))


def _best(
    asked: Request,
    wanted: tuple[Wish, ...],
    native: str,
    search: Search,
    causes: tuple[Finding, ...],
) -> list[Suggestion]:
    """Return what keeps most, in the environment that was asked for and in one for the hardware."""
    found, context = [], search.context
    for request in (asked, *([replace(asked.anew(), subdir=native)] if native else ())):
        places = context.rooms(request)
        best = search.best(places, wanted)
        if context.tegra and any(finding.virtual == "arm-variant" for finding in causes):
            # a build of another board was taken for its GPU: what is for this one's is older
            best = search.best(places, wanted, hard=("pytorch * cuda*",)) or best
        if best is not None and context.refuses(best.solution):
            hardened = (search.best(places, wanted, hard=(hard,)) for hard in context.hard)
            best = next((s for s in hardened if s and not context.refuses(s.solution)), best)
        if best is not None:
            found.append(best)
    # of two that keep the same the first one changes less
    found.sort(key=lambda each: each.keeps, reverse=True)
    return [each for each in found if not context.refuses(each.solution)] or found[:1]


def _emulated(
    asked: Request, wanted: tuple[Wish, ...], search: Search, best: Suggestion | None
) -> Iterator[Suggestion]:
    """Yield what runs under emulation and keeps more packages."""
    for subdir in search.context.emulated:
        request = replace(asked.anew(), subdir=subdir)
        found = search.best(search.context.rooms(request), wanted)
        if found is not None and (best is None or _named(found, wanted) > _named(best, wanted)):
            yield found


def _named(found: Suggestion, wanted: tuple[Wish, ...]) -> tuple[bool, ...]:
    """Return which of the packages that were asked for a command has."""
    pairs = zip(found.keeps, wanted, strict=True)
    return tuple(kept for kept, wish in pairs if wish.kind == "name")


def _others(
    asked: Request, wanted: tuple[Wish, ...], search: Search, best: Suggestion
) -> Iterator[Suggestion]:
    """Yield commands that give up something else: another channel, the CPU, a version."""
    context = search.context
    if context.ours in {*best.request.searched} - {*asked.searched}:
        without = search.best(context.rooms(asked, ours=False), wanted)
        if without is not None and _no_fewer(without, best, wanted, search):
            yield without
    pairs = zip(wanted, best.keeps, strict=True)
    for wish in [wish for wish, kept in pairs if not kept and wish.kind != "name"][:2]:
        other = search.best(context.rooms(asked), wanted, first=(wish,))
        if other is None or not other.keeps[wanted.index(wish)]:
            continue
        if _no_fewer(other, best, wanted, search):
            yield other


def _no_fewer(
    other: Suggestion, best: Suggestion, wanted: tuple[Wish, ...], search: Search
) -> bool:
    """Whether a second command runs and has all packages that the first one has."""
    pairs = zip(_named(other, wanted), _named(best, wanted), strict=True)
    return not search.context.refuses(other.solution) and all(
        mine or not theirs for mine, theirs in pairs
    )


def _same(one: Suggestion, other: Suggestion) -> bool:
    """Whether two commands bring the same records of what both ask for."""
    ones = {record.name.normalized: record for record in one.installs}
    others = {record.name.normalized: record for record in other.installs}
    both = ones.keys() & others.keys()
    alike = accelerator(one.solution) == accelerator(other.solution)
    return alike and bool(both) and all(str(ones[n].url) == str(others[n].url) for n in both)
