"""One install of conda, mamba, micromamba or pixi, in the environment that is there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

from generator.errors import SelectionError
from generator.explaining.computer import overrides
from generator.explaining.desk import Desk, native_of, ours_of
from generator.explaining.explain import Context, explain
from generator.explaining.facts import facts
from generator.explaining.report import Explanation
from generator.explaining.request import Request, name_of
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
