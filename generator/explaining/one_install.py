"""One install: of conda, mamba, micromamba or pixi, or of pip, in the environment that is there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, get_args

from packaging.requirements import Requirement

from generator.errors import SelectionError
from generator.explaining.computer import is_tegra, overrides
from generator.explaining.context import Context
from generator.explaining.desk import Desk, asking, native_of, ours_of
from generator.explaining.explain import explain
from generator.explaining.facts import facts
from generator.explaining.reading_pip import PipRequest
from generator.explaining.report import Command, Explanation
from generator.explaining.request import Request, name_of
from generator.explaining.requirements import (
    Place,
    asks_for_cuda,
    conda_names,
    of_cuda,
    own,
    pythons_with,
    unreadable,
    variable_in,
)
from generator.explaining.wheels import Judged, judge, plainly, without_gpu
from generator.model.wheel import ProjectName
from generator.printing import listed
from generator.rattler_names import SubdirLiteral


@dataclass(frozen=True)
class Environment:
    """What is in an environment already."""

    specs: tuple[str, ...] = ()
    python: str = ""
    #: what it was made for where that is not the machine's own: conda remembers its --platform
    subdir: str | None = None
    #: the version of conda's pytorch, "" for none
    torch: str = ""
    #: the wheel that torch is of, "" for none that was named
    wheel: str = ""


def explain_conda(request: Request, before: Environment, desk: Desk) -> Explanation:
    """Explain one request to conda, mamba, micromamba or pixi."""
    options, computer = desk.options, desk.computer
    request = _configured(request, desk)
    if request.verb not in {"create", "env create"}:
        python = options.python or before.python
        beside = [spec for spec in before.specs if name_of(spec) != "python"]
        own = {name_of(spec) for spec in request.specs}
        beside = [spec for spec in beside if name_of(spec) not in own]
        if python and "python" not in own:
            beside.insert(0, f"python={python}")
        request = replace(request, beside=tuple(dict.fromkeys((*request.beside, *beside))))
    subdir = options.subdir or request.subdir
    if request.origin == "command" or request.typed_subdir:
        subdir = request.subdir or options.subdir  # CONDA_SUBDIR in the command is what happens
    if before.subdir and request.verb != "create" and not request.typed_subdir:
        subdir = before.subdir
    if not request.typed_subdir:
        # it says where it was met, and no command needs to say that
        request = replace(request, subdir=None)
    if subdir is not None and subdir not in get_args(SubdirLiteral):
        raise SelectionError(
            "not a conda subdir", where=subdir, next_step="for example --subdir linux-aarch64"
        )
    # another subdir is another machine, but for the other one that this hardware can run
    emulated = facts().emulated_on.get(computer.hardware, ())
    own_machine = subdir in {None, computer.subdir, computer.hardware, *emulated}
    machine = computer.machine(subdir=subdir, added=options.virtual)
    ours, base = ours_of(desk.project, options.reach, machine.subdir)
    context = Context(
        channels=desk.channels,
        machine=machine,
        computer=replace(computer, conda=machine.subdir) if own_machine else None,
        ours=ours,
        base=base,
        native=native_of(machine.subdir, computer if own_machine else None),
        others={
            name: computer.machine(subdir=name, added=overrides(desk.project.environment))
            for name in get_args(SubdirLiteral)
        },
    )
    machine.records()  # refuses what is no virtual package
    found = explain(request, context)
    # what is there has what it needs, from channels that were asked before
    own = {name_of(spec) for spec in request.specs}
    there = {each.package for each in found.findings if each.cause == "dependencies"} - own
    if there:
        left = tuple(spec for spec in request.beside if name_of(spec) not in there)
        return explain(replace(request, beside=left), context)
    return found


def _configured(request: Request, desk: Desk) -> Request:
    """Give a request the channels that its client asks on its own: as said, or as configured."""
    options, condarc = desk.options, desk.condarc
    # which channels are asked is said by --override-channels; how they rank is not
    said = options.subdir is None or "CONDA_CHANNEL_PRIORITY" in desk.project.environment
    ranked = said and request.client != "pixi" and bool(condarc.strict)
    strict = request.strict or (ranked and not request.loose)
    if request.override or not (request.defaults or request.listed):
        return replace(request, strict=strict)
    defaults, notes, assumed = request.defaults, request.notes, False
    here, named = options.subdir is None, condarc.channels
    if options.default_channels:
        defaults = options.default_channels
    elif request.listed or request.client == "pixi":
        pass  # it said so itself
    elif here and named is not None:
        gone = {"nodefaults", "defaults"} if "nodefaults" in named else set[str]()
        defaults = tuple(name for name in named if name not in gone)
    elif here and desk.computer.conda_from and request.client != "micromamba":
        defaults = (desk.computer.conda_from,)
        told = f"the conda here is from {desk.computer.conda_from}, which it asks on its own"
        notes = (*notes, told)
    else:
        assumed = True
    if request.shuts_out:
        defaults = tuple(name for name in defaults if name != "defaults")
    return replace(request, defaults=defaults, assumed=assumed, strict=strict, notes=notes)


def unsolved(desk: Desk, command: str, outcome: str, unseen: tuple[str, ...] = ()) -> Explanation:
    """Return an explanation of what no solver was asked."""
    machine = desk.computer.machine(subdir=desk.options.subdir, added=desk.options.virtual)
    return Explanation(
        command=command,
        subdir=machine.subdir,
        virtual_packages=machine.virtual_packages,
        outcome="works" if outcome == "works" else "unknown",
        unseen=unseen,
    )


#: the kernel of NVIDIA's boards, as markers ask for it
_TEGRA: Final = "5.15.148-tegra"
_BOARDS: Final = (
    "PyPI's torch does not use this board's GPU: NVIDIA's wheels for JetPack do (armtorch doctor)"
)


def explain_pip(request: PipRequest, before: Environment, desk: Desk) -> Explanation:
    """Judge what pip is asked for, and say which command gives torch where it fails."""
    subdir = desk.options.subdir or request.subdir or desk.computer.subdir
    here = subdir == desk.computer.subdir
    place = Place(
        subdir,
        request.python or before.python or desk.options.python or "",
        request.requires,
        _TEGRA if here and is_tegra(desk.computer) else "",
        request.musl or (desk.computer.musl and here),
    )
    ask = asking(desk)
    found = judge(request, place, ask)
    states = {wheel.state for wheel in found}
    commands: list[Command] = []
    if "fails" in states:
        other = plainly(request, place)
        judged_anew = {wheel.state for wheel in judge(other, place, ask)}
        # the same is asked again where it was not known which Python is there
        tells = not place.python and pythons_with(other, place) and "unseen" not in judged_anew
        again = other.command() == request.command() and not tells
        if other != request and not again and "fails" not in judged_anew:
            differs = _differs(request, other, place, looked="unseen" not in judged_anew)
            commands.append(_command(other.command(), *differs))
        instead = _instead(request, found, before, desk)
        # beside conda's torch, pip's companions bring another one over its files
        commands = [*instead, *commands] if before.torch else [*commands, *instead]
    elif "unseen" in states and not place.musl:
        commands = _instead(request, found, before, desk)
    notes = [*request.notes, *_over_torch(found, before.torch, before.wheel)]
    bare = replace(request, index="", extra=())
    ours = own(request.requirements)
    torch = {wheel.state for wheel in found if wheel.requirement in ours}
    if torch == {"works"} and (computes := without_gpu(request, bare, place)):
        notes.insert(0, f"what pip finds for {subdir} is torch {computes}")
    besides = facts().besides.get("musl" if place.musl else subdir)
    if besides and states != {"works"} and not commands and ours:
        notes.append(besides)
    if place.release and request == bare and torch == {"works"}:
        notes.insert(0, _BOARDS)
    return replace(
        unsolved(desk, request.command(), "works"),
        subdir=subdir,
        outcome="fails" if "fails" in states else "unknown" if "unseen" in states else "works",
        wheels=found,
        commands=tuple(commands[:2]),
        python=place.python,
        notes=tuple(notes),
    )


def _differs(request: PipRequest, other: PipRequest, place: Place, *, looked: bool) -> list[str]:
    """Say in what the other request differs."""
    known = {re.sub(r"(?<=\d)\+[\w.]+|\s*;.*", "", text) for text in request.requirements}
    changed = [
        new if re.search("[=<>~]", new) else f"any {new}"
        for new in other.requirements
        if not {new, re.sub(r"(?<=\d)\+[\w.]+", "", new)} & known
    ]
    asked = [Requirement(text).name for text in request.requirements if of_cuda(text)]
    gone = [] if any(map(of_cuda, other.requirements)) else asked
    pythons = "" if place.python else pythons_with(other, place)
    return [
        without_gpu(request, other, place),
        "" if looked else "as far as it was looked at",
        _from_where(request, other),
        f"without {listed(gone)}, which torch asks for itself" if gone else "",
        "with its wheels" if request.from_source != other.from_source else "",
        f"with {' and '.join(changed)}" if changed else "",
        f"with Python {pythons}" if pythons else "",
    ]


def _from_where(request: PipRequest, other: PipRequest) -> str:
    """Say which indexes, labels and addresses the other request has, or has not."""
    before, after = ({each.index, *each.extra} for each in (request, other))
    if after - before - {""}:
        return "from upstream's own index"
    labels = any("+" in text for text in request.requirements)
    gone = labels or before - after or other.unread != request.unread
    return "without what is for other machines" if gone else ""


def _instead(
    request: PipRequest, found: Sequence[Judged], before: Environment, desk: Desk
) -> list[Command]:
    """Return the command that installs from channels what pip cannot, or may not have."""
    # what belongs to torch is not taken apart: some of it of pip's and some of conda's
    typed = (*request.requirements, *filter(variable_in, filter(unreadable, request.unread)))
    beside = not conda_names(typed)
    failing = [w.requirement for w in found if w.state == "fails"]
    unseen = [w.requirement for w in found if w.state == "unseen" and w.requirement in typed]
    failing = failing or unseen
    if request.musl or not conda_names(failing, beside=beside):
        return []  # nor is any package of a channel for musl
    named = [w.requirement for w in found if w.requirement in {*typed, *failing}]
    specs = conda_names(named, beside=beside)
    pixi = request.tool.startswith("pixi")
    asked = Request(
        client="pixi" if pixi else "conda",
        verb="add" if pixi else "install",
        specs=specs,
        target=request.target if before.specs else (),
        defaults=("conda-forge",),
        subdir=desk.options.subdir or request.subdir,
        cuda=asks_for_cuda(request),
    )
    explanation = explain_conda(asked, before, desk)
    if explanation.outcome != "works" or explanation.commands:
        return list(explanation.commands[:1])
    given = _command(explanation.command, "with conda instead of pip")
    return [replace(given, installs=explanation.installs)]


def _command(command: str, *differs: str) -> Command:
    return Command(command=command, differs=(*filter(None, differs),), accelerator="", installs=())


def _over_torch(found: Sequence[Judged], torch: str, wheel: str) -> Iterator[str]:
    """Say what pip does to the torch that is there: conda's, or that of a wheel.

    Of a wheel its own METADATA names the torch that pip brings along, and that is not looked at.
    """
    asked = {
        wanted.name: wanted
        for wanted in (Requirement(each.requirement) for each in found if each.state == "works")
        if wanted.name in get_args(ProjectName)
    }
    own = asked.pop("torch", None)
    names = " ".join(sorted(asked))
    if torch and own is not None and not own.specifier.contains(torch):
        yield f"pip puts its torch over conda's pytorch {torch}, and conda does not notice"
    elif torch and names:
        yield (
            f"conda's pytorch {torch} is there: where pip's {names} is for another torch, pip puts "
            f"that over conda's files; conda install {names} takes the one that goes with it"
        )
    elif wheel and names and own is None:
        yield f"where {names} is for another torch, pip puts that over the one of {wheel}"
