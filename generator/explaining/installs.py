"""Judges the installs of one input in order, each in the environment that those before it leave."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any, get_args

from packaging.requirements import Requirement

from generator.errors import ArmtorchError, SelectionError
from generator.explaining.causes_in_words import listed
from generator.explaining.computer import overrides
from generator.explaining.correcting import corrected_file
from generator.explaining.desk import Desk, asking, native_of, ours_of
from generator.explaining.explain import Context, explain
from generator.explaining.facts import facts, pattern
from generator.explaining.reading import read_request
from generator.explaining.reading_environment import PIP_SECTION
from generator.explaining.reading_pip import PipRequest
from generator.explaining.reading_scripts import Step, Unread
from generator.explaining.report import Answer, Command, Explanation, Installed
from generator.explaining.request import Request, name_of
from generator.explaining.wheels import (
    Judged,
    asks_for_cuda,
    conda_names,
    judge,
    of_cuda,
    on_musl,
    plainly,
    pythons_with,
    without_gpu,
)
from generator.model.wheel import ProjectName
from generator.rattler_names import SubdirLiteral


@dataclass(frozen=True)
class _Environment:
    """What is in an environment already."""

    specs: tuple[str, ...] = ()
    python: str = ""
    #: what it was made for where that is not the machine's own: conda remembers its --platform
    subdir: str | None = None
    #: the version of conda's pytorch, "" for none
    torch: str = ""
    #: the wheel that torch is of, "" for none that was named
    wheel: str = ""


@dataclass(frozen=True)
class _File:
    """An environment file: what works instead of it, and what was found of its two parts."""

    given: Request
    document: dict[str, Any]
    found: tuple[Explanation, ...]
    pip: PipRequest | None = None


def judged(steps: Sequence[Step], desk: Desk) -> Answer:
    """Judge each install; one that fails leaves what the first command that works would.

    Raises:
        SelectionError: a subdir is none.
        SolveError: the solver did not finish.
        UnreachableError: a channel that had answered stopped answering.

    """
    environments: dict[tuple[int, tuple[str, ...]], _Environment] = {}
    found: list[Explanation] = []
    files: list[_File] = []
    for step in steps:
        if isinstance(step, Unread):
            found.append(_unread(step, desk))
            continue
        # where no other is named and none is active, it is the base environment
        place = (step.stage, _called(step.target[:2], environments))
        before = environments.get(place, _Environment(python=desk.options.python or ""))
        if isinstance(step, PipRequest):
            found.append(_pip(step, before, desk))
            if found[-1].outcome != "fails":
                wheels = (pattern("wheel").search(each) for each in step.unread)
                torch = next((each[0] for each in wheels if each and each["name"] == "torch"), "")
                environments[place] = replace(before, wheel=torch or before.wheel)
            if files and step.tool == PIP_SECTION:
                files[-1] = replace(files[-1], pip=step, found=(*files[-1].found, found[-1]))
            continue
        for request in _platforms(step, desk):
            explanation = _conda(request, before, desk)
            found.append(explanation)
            given = _given(request, explanation)
            left = _left(given, explanation)
            if request.document and left:
                files.append(_File(given, request.document, (explanation,)))
            kept = () if request.verb in {"create", "env create"} else before.specs
            # an environment that was there before has a Python that nobody told of
            named = request.verb == "create" or any(name_of(s) == "python" for s in given.specs)
            python = explanation.python if named else ""
            environments[place] = _Environment(
                tuple(dict.fromkeys((*kept, *left))),
                python or before.python,
                before.subdir or (given.subdir if explanation.commands else None),
                _torch(explanation) or (before.torch if kept else ""),
            )
    broken = (
        each
        for each in files
        if Answer(installs=each.found).outcome == "fails" or any(one.commands for one in each.found)
    )
    return Answer(installs=tuple(found), file=next((_mended(each) for each in broken), ""))


def _called(
    target: tuple[str, ...], known: dict[tuple[int, tuple[str, ...]], _Environment]
) -> tuple[str, ...]:
    """Return what an environment was called where it was made: a folder has a name, too."""
    if target == ("-n", "base"):
        return ()
    # a path of Windows has either slash
    folders = [each for _, each in reversed(known) if each[:1] == ("-p",)]
    named = {PureWindowsPath(each[1]).name: each for each in folders}
    return named.get(target[-1], target) if target[:1] == ("-n",) else target


def _mended(file: _File) -> str:
    wheels = [wheel for each in file.found for wheel in each.wheels]
    variables = file.document.get("variables")
    variables = variables if isinstance(variables, dict) else {}
    given, pip = file.given, file.pip
    brought = _installed(file.found[0])
    firsts = [each.commands[0] for each in file.found if each.wheels and each.commands]
    for command in firsts if _torch(file.found[0]) else ():
        with suppress(SelectionError):  # a command of pip's
            moved = read_request(command.command, folder=Path())
            given = replace(given, specs=(*given.specs, *moved.specs))
            brought = (*brought, *command.installs)
    if pip is not None:
        # what conda brings pip would put over its files
        names = {each.name for each in brought}
        kept = (r for r in pip.requirements if not {*map(name_of, conda_names([r]))} & names)
        pip = replace(pip, requirements=tuple(kept))
        pip = pip if pip.requirements or pip.unread else None
    last = file.found[-1]
    return corrected_file(
        given, pip, wheels, variables, subdir=last.subdir or "", python=last.python
    )


def _given(request: Request, explanation: Explanation) -> Request:
    """Return what works instead of a request, or itself."""
    if not explanation.commands:
        return request
    found = read_request(explanation.commands[0].command, folder=Path())
    listed = [state.name for state in explanation.channels]
    return replace(found, defaults=tuple(n for n in found.defaults if n in listed))


def _left(given: Request, explanation: Explanation) -> tuple[str, ...]:
    """Return what an install leaves, each from its channel; what fails for good leaves nothing."""
    if explanation.outcome == "fails" and not explanation.commands:
        return ()
    channels = {each.name: each.channel for each in _installed(explanation)}
    typed = {spec: channels.get(name_of(spec), "") for spec in given.specs}
    return tuple(
        f"{channel}::{spec}" if "::" not in spec and channel in given.channels else spec
        for spec, channel in typed.items()
    )


def _installed(explanation: Explanation) -> tuple[Installed, ...]:
    return explanation.commands[0].installs if explanation.commands else explanation.installs


def _torch(explanation: Explanation) -> str:
    return next((one.version for one in _installed(explanation) if one.name == "pytorch"), "")


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


def _platforms(request: Request, desk: Desk) -> Iterator[Request]:
    """Yield a request for each platform that its file is for, the machine's own first."""
    own = desk.options.subdir or request.subdir or desk.computer.subdir
    listed = request.platforms if not desk.options.subdir and not request.subdir else ()
    others = [name for name in listed if name != own]
    for name in (*([own] if own in listed or not listed else ()), *others):
        marks = facts().selectors.get(name, ())
        left = dict.fromkeys(spec for spec, mark in request.selected if mark not in marks)
        specs = tuple(spec for spec in request.specs if spec not in left)
        yield replace(
            request,
            specs=specs,
            subdir=name if request.typed_subdir or name != own else request.subdir,
        )


def _conda(request: Request, before: _Environment, desk: Desk) -> Explanation:
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
        lock=desk.project.locked if desk.project.feedstock.exists() else None,
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


def _unread(step: Unread, desk: Desk) -> Explanation:
    error: ArmtorchError = step.why
    why = f"{error.where}: {error.what}; {error.next_step}"
    return _empty(desk, step.line, "unknown", unseen=(why,))


def _pip(request: PipRequest, before: _Environment, desk: Desk) -> Explanation:
    """Judge what pip is asked for, and say which command gives torch where it fails."""
    subdir = desk.options.subdir or request.subdir or desk.computer.subdir
    python = request.python or before.python or desk.options.python or ""
    ask = asking(desk)

    # wheels of Linux are for glibc (PEP 600), upstream has none for musl (PEP 656)
    musl = request.musl or (desk.computer.musl and subdir == desk.computer.subdir)

    def wheels(asked: PipRequest) -> tuple[Judged, ...]:
        found = judge(asked, subdir=subdir, python=python, ask=ask)
        return tuple(on_musl(each) if musl else each for each in found)

    found = wheels(request)
    states = {wheel.state for wheel in found}
    commands: list[Command] = []
    if "fails" in states:
        other = plainly(request, subdir, python)
        judged_anew = {wheel.state for wheel in wheels(other)}
        # the same is asked again where it was not known which Python is there
        tells = not python and bool(pythons_with(other, subdir)) and "unseen" not in judged_anew
        again = other.command() == request.command() and not tells
        if other != request and not again and "fails" not in judged_anew:
            known = {re.sub(r"(?<=\d)\+[\w.]+|\s*;.*", "", text) for text in request.requirements}
            changed = [
                new if re.search("[=<>~]", new) else f"any {new}"
                for new in other.requirements
                if not {new, re.sub(r"(?<=\d)\+[\w.]+", "", new)} & known
            ]
            asked = [Requirement(text).name for text in request.requirements if of_cuda(text)]
            gone = [] if any(map(of_cuda, other.requirements)) else asked
            pythons = "" if python else pythons_with(other, subdir)
            differs = (
                without_gpu(request, other, subdir, python),
                "as far as it was looked at" if "unseen" in judged_anew else "",
                _from_where(request, other),
                f"without {listed(gone)}, which torch asks for itself" if gone else "",
                f"with {' and '.join(changed)}" if changed else "",
                f"with Python {pythons}" if pythons else "",
            )
            commands.append(_command(other.command(), *differs))
        instead = _instead(request, found, before, desk)
        # beside conda's torch, pip's companions bring another one over its files
        commands = [*instead, *commands] if before.torch else [*commands, *instead]
    return replace(
        _empty(desk, request.command(), "works"),
        subdir=subdir,
        outcome="fails" if "fails" in states else "unknown" if "unseen" in states else "works",
        wheels=found,
        commands=tuple(commands[:2]),
        python=python,
        notes=(*request.notes, *_over_torch(found, before.torch, before.wheel)),
    )


def _from_where(request: PipRequest, other: PipRequest) -> str:
    """Say which indexes, labels and addresses the other request has, or has not."""
    before, after = ({each.index, *each.extra} for each in (request, other))
    if after - before - {""}:
        return "from upstream's own index"
    labels = any("+" in text for text in request.requirements)
    gone = labels or before - after or other.unread != request.unread
    return "without what is for other machines" if gone else ""


def _instead(
    request: PipRequest, found: Sequence[Judged], before: _Environment, desk: Desk
) -> list[Command]:
    """Return the command that installs from channels what pip cannot."""
    failing = [wheel.requirement for wheel in found if wheel.state == "fails"]
    if request.musl or not conda_names(failing):
        return []  # nor is any package of a channel for musl
    # what belongs to torch is not taken apart: some of it of pip's and some of conda's
    typed = request.requirements
    specs = conda_names(
        [w.requirement for w in found if w.state == "fails" or w.requirement in typed]
    )
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
    explanation = _conda(asked, before, desk)
    if explanation.outcome != "works" or explanation.commands:
        return list(explanation.commands[:1])
    given = _command(explanation.command, "with conda instead of pip")
    return [replace(given, installs=explanation.installs)]


def _command(command: str, *differs: str) -> Command:
    return Command(command=command, differs=(*filter(None, differs),), accelerator="", installs=())


def _empty(desk: Desk, command: str, outcome: str, unseen: tuple[str, ...] = ()) -> Explanation:
    machine = desk.computer.machine(subdir=desk.options.subdir, added=desk.options.virtual)
    return Explanation(
        command=command,
        subdir=machine.subdir,
        virtual_packages=machine.virtual_packages,
        outcome="works" if outcome == "works" else "unknown",
        unseen=unseen,
    )
