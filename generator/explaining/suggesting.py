"""The shortest command that works, and the next best: found by trying, each one really solved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from rattler import RepoDataRecord

from generator.explaining.edits import Edit
from generator.explaining.facts import facts
from generator.explaining.probing import Prober, Setting, Solution
from generator.explaining.request import Request, name_of

#: changes to one request at once, solves per explanation, and commands shown
_AT_ONCE: Final = 3
_PROBES: Final = 60
SHOWN: Final = 3
#: turns a request into where it is solved
SettingOf = Callable[[Request], Setting]


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A command that has a solution, how it differs, and what it installs."""

    request: Request
    edits: tuple[Edit, ...]
    solution: Solution

    @property
    def installs(self) -> tuple[RepoDataRecord, ...]:
        """The records of what is asked for, in the order of the request."""
        found = {record.name.normalized: record for record in self.solution}
        return tuple(found[name_of(s)] for s in self.request.specs if name_of(s) in found)


def suggest(
    request: Request,
    possible: Sequence[Edit],
    setting_of: SettingOf,
    prober: Prober,
    *,
    refused: Callable[[Solution], bool] = lambda _: False,
) -> tuple[Suggestion, ...]:
    """Return commands that were solved, the cheapest change first; () when nothing works.

    Solutions that are ``refused``, because they would not run, come only where there is no other.
    """
    found: list[Suggestion] = []
    last_resort: list[Suggestion] = []
    tried = 0
    for chosen in _by_cost(possible):
        if tried >= _PROBES or len(found) >= SHOWN or (found and prober.impatient):
            break
        if any(_no_better(chosen, each.edits) for each in found):
            continue
        asked = request
        for edit in chosen:
            asked = edit.apply(asked)
        if not _worth(asked, request) or not _all_there(asked, setting_of(asked), prober):
            continue
        tried += 1
        solution = prober.solve(asked.solved, setting_of(asked))
        if solution is None:
            continue
        suggestion = _shortened(
            Suggestion(request=asked, edits=chosen, solution=solution), setting_of, prober
        )
        if refused(suggestion.solution):
            last_resort.append(suggestion)
        elif not any(_same(suggestion, each) for each in found):
            found.append(suggestion)
    return tuple(found or last_resort[:1])


def _worth(asked: Request, original: Request) -> bool:
    """Whether at least half of the packages are left that are more than a choice of build."""
    aside = {"python", *facts().switches}
    wanted = [spec for spec in original.specs if name_of(spec) not in aside]
    left = [spec for spec in asked.specs if name_of(spec) not in aside]
    return bool(left) and 2 * len(left) >= len(wanted)


def _by_cost(possible: Sequence[Edit]) -> Iterator[tuple[Edit, ...]]:
    groups = [
        group
        for size in range(1, _AT_ONCE + 1)
        for group in combinations(possible, size)
        if len({edit.key for edit in group}) == size
    ]
    yield from sorted(groups, key=lambda group: (sum(edit.cost for edit in group), len(group)))


def _no_better(chosen: tuple[Edit, ...], found: tuple[Edit, ...]) -> bool:
    """Whether a found command gives up no more than this one would."""
    choices = {edit.choice for edit in chosen} - {"name"}
    given_up = {edit.choice for edit in found} - {"name"}
    # whoever can have all packages is not told to do without one
    return given_up <= choices or ("drop" in choices and "drop" not in given_up)


def _same(one: Suggestion, other: Suggestion) -> bool:
    """Whether two commands are equal, or bring the same records of what both ask for."""
    if one.request.command() == other.request.command():
        return True
    ones = {record.name.normalized: record for record in one.installs}
    others = {record.name.normalized: record for record in other.installs}
    both = ones.keys() & others.keys()
    return bool(both) and all(str(ones[name].url) == str(others[name].url) for name in both)


def _all_there(request: Request, setting: Setting, prober: Prober) -> bool:
    """Whether every name is on some channel: without that a solve is not worth its time."""
    return all(prober.visible(name_of(spec), setting) for spec in request.solved)


def _shortened(found: Suggestion, setting_of: SettingOf, prober: Prober) -> Suggestion:
    """Name the Python that was found, and leave out channels that nothing is taken from."""
    request = _answering(found.request, setting_of(found.request))
    if "python" in request.specs:
        python = next((r for r in found.solution if r.name.normalized == "python"), None)
        if python is not None:
            minor = ".".join(str(python.version).split(".")[:2])
            request = request.swap("python", f"python={minor}")
    request = _pinned(request, found, setting_of, prober)
    for channel in request.channels:
        fewer = replace(request, channels=tuple(c for c in request.channels if c != channel))
        solution = prober.solve(fewer.solved, setting_of(fewer))
        if solution is not None and (
            channel in request.defaults
            or _brings_the_same(replace(found, solution=solution), found)
        ):
            request = fewer
    solution = prober.solve(request.solved, setting_of(request))
    if solution is None:
        return found
    return replace(found, request=request, solution=solution)


def _pinned(request: Request, found: Suggestion, setting_of: SettingOf, prober: Prober) -> Request:
    """Name the version that was found where versions were only ruled out."""
    for record in found.installs:
        name = record.name.normalized
        spec = next((each for each in request.specs if each.startswith(f"{name}!=")), None)
        if spec is not None:
            minor = ".".join(str(record.version).split(".")[:2])
            named = request.swap(spec, f"{name}={minor}")
            if prober.solve(named.solved, setting_of(named)) is not None:
                request = named
    return request


def _answering(request: Request, setting: Setting) -> Request:
    """Leave out channels that did not answer: the command would fail for them alone."""
    silent = {source.name for source in setting.sources if not source.usable}
    kept = tuple(name for name in request.channels if name not in silent)
    if silent & set(request.defaults):
        rest = tuple(name for name in request.defaults if name not in silent)
        channels = tuple(dict.fromkeys((*kept, *rest)))
        return replace(request, channels=channels, defaults=(), override=True)
    return replace(request, channels=kept)


def _brings_the_same(one: Suggestion, other: Suggestion) -> bool:
    """Whether what was asked for is the same, whatever else comes with it."""
    return [str(r.url) for r in one.installs] == [str(r.url) for r in other.installs]
