"""The command that keeps most of what was asked for: relax everything, then tighten it again.

First all wishes but the packages' names are given up: if that has no solution, nothing has. Then
they are taken back, the most important first, whole halves at a time (QuickXplain, Junker 2004),
so that n wishes of which k cannot be had cost some k log n solves. What is kept is maximal: none of
the wishes that were dropped can be added to it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import tee

from rattler import RepoDataRecord

from generator.explaining.context import Context
from generator.explaining.differing import accelerator
from generator.explaining.facts import facts, is_switch
from generator.explaining.probing import Prober, Setting, Solution, foreign
from generator.explaining.records import minor_of
from generator.explaining.request import Request, Wish, composed, name_of


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A command that has a solution, and what it installs."""

    request: Request
    solution: Solution
    #: which of the wishes it keeps, the most important first
    keeps: tuple[bool, ...]

    @property
    def installs(self) -> tuple[RepoDataRecord, ...]:
        """The records of what is asked for, in the order of the request."""
        found = {record.name.normalized: record for record in self.solution}
        names = dict.fromkeys(map(name_of, self.request.specs))
        return tuple(found[name] for name in names if name in found)


class Search:
    """One search, within one budget of seconds."""

    def __init__(self, context: Context, prober: Prober) -> None:
        self.context = context
        self.prober = prober
        #: turns a request into where it is solved
        self.setting = cache(context.setting)
        self._narrow: list[Request] = []
        self._strict = False
        self._deadline = time.monotonic() + facts().search_seconds

    @property
    def late(self) -> bool:
        """Whether the budget is spent: what was kept until then counts."""
        return time.monotonic() > self._deadline

    def visible(self, name: str, room: Request) -> list[RepoDataRecord]:
        """Return the records of a name that the solver may take."""
        return self.prober.visible(name, self.setting(room))

    def best(
        self,
        rooms: Sequence[Request],
        wanted: Sequence[Wish],
        *,
        first: Sequence[Wish] = (),
        hard: Sequence[str] = (),
    ) -> Suggestion | None:
        """Return what keeps most of a request in one of several rooms, that is: channels.

        ``first`` are wishes that come before all but the names, ``hard`` is what it would not run
        without. Of rooms that keep the same, the first one is taken.
        """
        found: list[tuple[tuple[bool, ...], int, Request, list[Wish]]] = []
        loose = [room for room in rooms if not room.strict]
        # where channels do not hide each other, more of them never have less
        widest = [max(loose, key=lambda room: len(room.searched))] if loose else []
        self._narrow, self._strict = loose[:1], rooms[0].strict
        for room in widest or rooms:
            kept = self._tightened(room, wanted, first, hard)
            if kept:
                keeps = tuple(wish in kept for wish in wanted)
                found.append((keeps, -rooms.index(room), room, kept))
        if not found:
            return None
        keeps, _, room, kept = max(found, key=lambda each: each[:2])
        specs = [*(wish.spec for wish in kept), *hard]
        if widest:
            able, others = tee(each for each in rooms if self._solve(specs, each) is not None)
            runs = (
                each for each in able if not self.context.refuses(self._solve(specs, each) or ())
            )
            room = next(runs, None) or next(others)
        return self._finished(room, kept, hard, keeps)

    def _tightened(
        self, room: Request, wanted: Sequence[Wish], first: Sequence[Wish], hard: Sequence[str]
    ) -> list[Wish]:
        """Return the wishes that go together; [] where not even the names do."""
        base = [Wish(kind="name", name="", spec=spec, of="") for spec in hard]
        named = [wish for wish in wanted if wish.kind == "name"]
        self.prober.fetch([wish.name for wish in named], self.setting(room))
        # of what no channel has a solve is not worth its time
        names = [wish for wish in named if self.visible(wish.name, room)]
        kept = self._kept(base, names, room)
        # what stands for a package that cannot be had: the same on the CPU
        gone = {w.name for w in wanted if w.kind == "name"} - _names(kept)
        kept, swaps = self._with_stand_ins(kept, gone, wanted, room)
        asked = [wish for wish in wanted if wish.of in room.specs]
        if not _worth(asked, kept, file=room.document is not None):
            return []
        rest = [_renamed(wish, swaps) for wish in wanted if wish.kind != "name"]
        left = _names(kept)
        rest = [
            w for w in rest if w.name in left or (w.kind == "switch" and self.visible(w.name, room))
        ]
        kept = self._kept(kept, [wish for wish in first if wish in rest], room)
        python = [wish for wish in rest if wish.kind == "python" and wish not in first]
        kept = self._kept(kept, python, room)
        if lost := [wish for wish in python if wish not in kept]:
            kept = self._nearest([w for w in kept if w.kind != "python"], lost[0], room)
        rest = [wish for wish in rest if wish.kind != "python" and wish not in first]
        return self._kept(kept, rest, room)[len(base) :]

    def _with_stand_ins(
        self, kept: list[Wish], gone: set[str], wanted: Sequence[Wish], room: Request
    ) -> tuple[list[Wish], dict[str, str]]:
        """Ask for the first that can be had of what stands for a package; say which that is."""
        swaps: dict[str, str] = {}
        for wish in wanted:
            if wish.kind != "name" or wish.name not in gone:
                continue
            for spec in facts().stand_ins.get(wish.name, ()):
                name = spec.split(" ")[0]
                new = replace(wish, name=name, spec=spec)
                if self.visible(name, room) and self._goes([*kept, new], room):
                    kept, swaps[wish.name] = [*kept, new], name
                    break
        return kept, swaps

    def _kept(self, kept: list[Wish], more: list[Wish], room: Request) -> list[Wish]:
        """Return ``kept`` and as many of ``more`` as go with it, the first ones first."""
        if not more or self.late:
            return kept
        if self._goes([*kept, *more], room):
            return [*kept, *more]
        if len(more) == 1:
            return kept
        half = len(more) // 2
        return self._kept(self._kept(kept, more[:half], room), more[half:], room)

    def _nearest(self, kept: list[Wish], python: Wish, room: Request) -> list[Wish]:
        """Keep the Python that is nearest to the one that cannot be had."""
        asked = minor_of(python.spec)
        there = {minor_of(text) for text in self.prober.pythons(self.setting(room))}
        for minor in sorted(there, key=lambda each: (abs(each - asked), -each)):
            wish = replace(python, spec=f"python 3.{minor}.*")
            if self._goes([*kept, wish], room):
                return [*kept, wish]
        return kept

    def _goes(self, kept: Sequence[Wish], room: Request) -> bool:
        specs = [wish.spec for wish in kept]
        # in the request's own channels first: what is found there is mostly what is shown
        places = self._narrow if room not in self._narrow and not room.strict else []
        return any(self.prober.goes(specs, self.setting(each)) for each in (*places, room))

    def _solve(self, specs: Sequence[str], room: Request) -> Solution | None:
        return self.prober.solve(specs, self.setting(room))

    def _finished(
        self, room: Request, kept: Sequence[Wish], hard: Sequence[str], keeps: tuple[bool, ...]
    ) -> Suggestion | None:
        """Write the command: as short as it can be without bringing anything else."""
        request = composed(room, kept)
        if request.beside != room.beside:
            pythons = tuple(spec for spec in request.beside if name_of(spec) == "python")
            request = replace(request.anew(), specs=(*pythons, *request.specs))
        request = answering(request, self.setting(request))
        if request.verb == "create" and not request.target and request.client != "pixi":
            request = replace(request, target=("-n", "torch"))
        solution = self._solve([*request.solved, *hard], request)
        if solution is None:
            return None
        request = self._for_board(_hardened(request, hard, solution))
        found = Suggestion(request=request, solution=solution, keeps=keeps)
        for spec in found.request.specs if accelerator(solution) == "cpu" else ():
            # what asks for CUDA's build of torch, or came with it, means nothing beside the CPU's
            name = name_of(spec)
            came = name in facts().own_switches or (room.exported and is_switch(name))
            if came and name != "cpuonly":
                found = self._if_the_same(found, found.request.swap(spec, None))
        for spec in found.request.specs:
            bare, _, number = spec.rpartition("=")
            whole = bare.endswith(name_of(spec)) and spec not in room.specs
            if whole and number.isdigit():
                again = any(name_of(s) == name_of(spec) != s != spec for s in found.request.specs)
                found = self._if_the_same(found, found.request.swap(spec, None if again else bare))
        for channel in found.request.channels:
            left = tuple(each for each in found.request.channels if each != channel)
            if not left and found.request.override:
                break  # conda takes --override-channels with a channel alone
            shorter = replace(found.request, channels=left)
            found = self._if_the_same(found, shorter)
        if self._strict and found.request.loose:  # perhaps what was left out was all that hid it
            found = self._if_the_same(found, replace(found.request, strict=True, loose=""))
        return replace(found, request=self._naming(found).in_full())

    def _naming(self, found: Suggestion) -> Request:
        """Name the channels that only what is there names, where more is taken from them."""
        request = found.request
        own = replace(request, beside=()).searched
        taken = {str(record.channel).rstrip("/") for record in found.installs}
        sources = self.setting(request).sources
        more = (s.name for s in sources if s.name not in own and s.url.rstrip("/") in taken)
        return replace(request, channels=(*request.channels, *dict.fromkeys(more)))

    def _for_board(self, request: Request) -> Request:
        """Ask for builds for Jetson where a client's solver would take those for servers."""
        setting = self.setting(request)
        if setting.arm_variant != "tegra":
            return request
        brought = self.prober.solve(request.solved, setting.of_any_board) or ()
        if not any(foreign(each, setting) for each in brought):
            return request
        return replace(request, specs=(*request.specs, "arm-variant=*=tegra"))

    def _if_the_same(self, found: Suggestion, shorter: Request) -> Suggestion:
        """Take a shorter command where it brings the same of what was asked for."""
        solution = self._solve(shorter.solved, shorter)
        if solution is None or self.late:
            return found
        other = replace(found, request=shorter, solution=solution)
        gone = set(found.request.channels) - set(shorter.channels)
        asked = {name_of(spec) for spec in shorter.specs}
        before = [str(r.url) for r in found.installs if r.name.normalized in asked]
        same = [str(r.url) for r in other.installs] == before
        # a channel that the client asks anyway needs no naming where it comes last as well
        unmoved = gone and shorter.searched == found.request.searched
        return other if same or unmoved else found


def answering(request: Request, setting: Setting) -> Request:
    """Leave out channels that did not answer: the command would fail for them alone."""
    silent = {source.name for source in setting.sources if not source.usable}
    kept = tuple(name for name in request.channels if name not in silent)
    if silent & set(request.defaults):
        rest = tuple(name for name in request.defaults if name not in silent)
        channels = tuple(dict.fromkeys((*kept, *rest)))
        return replace(request, channels=channels, defaults=(), override=True)
    return replace(request, channels=kept)


def _worth(wanted: Sequence[Wish], kept: Sequence[Wish], *, file: bool) -> bool:
    """Whether what the request is about is left: torch itself, or any package that is no switch.

    Of a file that is Python, too: what else it is about may be pip's.
    """
    core = facts().core
    named = [wish for wish in wanted if wish.kind == "name"]
    if torch := [wish for wish in named if wish.name in core]:
        return torch[0].of in {wish.of for wish in kept}
    counts = file or all(wish.name == "python" for wish in named)
    asked = {wish.of for wish in wanted}
    return not named or any(wish.of in asked for wish in kept if counts or wish.name != "python")


def _names(kept: Sequence[Wish]) -> set[str]:
    return {wish.name for wish in kept if wish.kind == "name"}


def _renamed(wish: Wish, swaps: Mapping[str, str]) -> Wish:
    """Ask the same of the package that stands for another one."""
    if (new := swaps.get(wish.name)) is None:
        return wish
    spec = wish.spec.replace(wish.name, new, 1) if "::" not in wish.spec else wish.spec
    return replace(wish, name=new, spec=spec)


def _hardened(request: Request, hard: Sequence[str], solution: Solution) -> Request:
    """Say in the command what must hold: the build, or the version that was found."""
    found = {record.name.normalized: record for record in solution}
    for text in hard:
        name, version, *build = text.split(" ")
        spec = next((each for each in request.specs if name_of(each) == name), None)
        if spec is None or name not in found:
            continue
        if build and "=" not in spec:
            request = request.swap(spec, f"{spec}=*={build[0]}")
        elif "!=" in version:
            parts = str(found[name].version).split(".")
            request = request.swap(spec, f"{name}={'.'.join(parts[:2])}")
    return request
