"""``explain``, ``coverage`` and ``doctor``: tell a person about a channel and a machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from rattler.platform import SubdirLiteral

from generator.errors import SelectionError
from generator.explaining import (
    ALIAS,
    TIMEOUT,
    Access,
    Channels,
    Checkup,
    Computer,
    Context,
    Coverage,
    Explanation,
    Request,
    System,
    coverage,
    explain,
    fitting_cell,
    look,
    machine_notices,
    read_condarc,
    read_request,
)
from generator.model import Cell
from generator.stages.packages import base_channels
from generator.stages.project import Project

_TRIO = ("pytorch", "torchvision", "torchaudio")
_BASE = ("conda-forge",)


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How channels are reached, and which one is ours."""

    alias: str = ALIAS
    offline: bool = False
    timeout: int = TIMEOUT
    #: None for the feedstock's own
    ours: str | None = None
    #: files of the machine; None for the one that armtorch runs on
    root: Path | None = None
    #: what runs there; None to look at this machine, or with ``root`` to go by its files alone
    system: System | None = None


@dataclass(frozen=True, kw_only=True)
class ExplainOptions:
    """For which machine a request is explained."""

    subdir: str | None = None
    #: ``__cuda=12.6``
    virtual: tuple[str, ...] = ()
    #: the Python that is in the environment already
    python: str | None = None
    #: what the client asks when nobody says otherwise; () for the usual
    default_channels: tuple[str, ...] = ()
    reach: Reach = Reach()


def explain_request(project: Project, text: str, options: ExplainOptions) -> Explanation:
    """Explain a command, an environment.yml or another tool's message.

    Raises:
        SelectionError: it cannot be read as one, or a subdir or virtual package is none.
        SolveError: the solver did not finish.
        UnreachableError: a channel that had answered stopped answering.

    """
    request = read_request(text, folder=Path.cwd())
    request = _configured(request, project, options)
    if options.python:
        request = replace(request, beside=(f"python={options.python}",))
    subdir = options.subdir or request.subdir
    if request.origin == "command":
        subdir = request.subdir or options.subdir  # CONDA_SUBDIR in the command is what happens
    else:
        # it says where it was met, and no command needs to say that
        request = replace(request, subdir=None)
    if subdir is not None and subdir not in get_args(SubdirLiteral):
        raise SelectionError(
            "not a conda subdir", where=subdir, next_step="for example --subdir linux-aarch64"
        )
    # another subdir is another machine, but for the other one that this hardware can run
    computer = _computer(project, options.reach)
    own = subdir in {None, computer.subdir, computer.hardware}
    for virtual in options.virtual:
        if re.fullmatch(r"__\w+=[^=\s]+(=\S+)?", virtual) is None:
            raise SelectionError(
                "not a virtual package", where=virtual, next_step="write it like __cuda=13.0"
            )
    machine = computer.machine(subdir=subdir, added=options.virtual)
    native = _native(machine.subdir, computer if own else None)
    ours, base = _ours(project, options.reach, machine.subdir)
    context = Context(
        channels=_channels(project, options.reach),
        machine=machine,
        computer=replace(computer, conda=machine.subdir) if own else None,
        ours=ours,
        base=base,
        lock=project.locked,
        native=native,
        others={name: computer.machine(subdir=name) for name in get_args(SubdirLiteral)},
    )
    machine.records()  # refuses what is no virtual package
    return explain(request, context)


def _configured(request: Request, project: Project, options: ExplainOptions) -> Request:
    """Give a request the channels that its client asks on its own: as said, or as configured."""
    if request.override or not (request.defaults or request.listed):
        return request
    if options.default_channels:
        return replace(request, defaults=options.default_channels)
    if request.listed or request.client == "pixi" or options.subdir is not None:
        return request
    condarc = read_condarc(options.reach.root or Path("/"), project.environment)
    strict = request.strict or bool(condarc.strict)
    return replace(request, defaults=condarc.channels or request.defaults, strict=strict)


def compare_channels(project: Project, against: Sequence[str], reach: Reach) -> Coverage:
    """Compare our channel with others, cell by cell; raises SelectionError, FeedstockError."""
    ours, _ = _ours(project, reach, "")
    if not ours:
        raise SelectionError(
            "no channel to compare: there is no feedstock here",
            where=str(project.feedstock),
            next_step="run it in the feedstock's folder, or name your channel with --channel",
        )
    return coverage(_channels(project, reach), ours, against, project.locked())


def check_machine(project: Project, reach: Reach) -> Checkup:
    """Say what the machine is, which cell fits it, and which command installs that."""
    computer = _computer(project, reach)
    ours, base = _ours(project, reach, computer.subdir)
    cell = fitting_cell(project.locked(), computer)
    request = Request(
        client="conda",
        verb="create",
        target=("-n", "torch"),
        specs=_TRIO,
        channels=(ours, *base) if cell is not None else base,
        defaults=base,
    )
    context = Context(
        channels=_channels(project, reach),
        machine=computer.machine(),
        computer=computer,
        ours=ours,
        base=base,
    )
    found = explain(request, context)
    if cell is not None and not _brings(found, cell):
        # the solver would take something else: newer and worse, or without the GPU
        series = ".".join(cell.torch.split(".")[:2])
        request = request.swap("pytorch", f"pytorch={series}=*{cell.accelerator.build_prefix}*")
        found = explain(request, context)
    verified = found.outcome == "works"
    return Checkup(
        computer=computer,
        cell=cell.name if cell is not None else "",
        command=request.command() if verified or cell is not None else "",
        verified=verified,
        detail="" if verified else _first_reason(found),
        warnings=machine_notices(computer),
    )


def _brings(found: Explanation, cell: Cell) -> bool:
    """Whether a command brings a cell's torch, or nothing can be said of it."""
    torch = [each for each in found.installs if each.name == "pytorch"]
    return not torch or (
        torch[0].version == cell.torch and torch[0].build.startswith(cell.accelerator.build_prefix)
    )


def _first_reason(found: Explanation) -> str:
    silent = [state for state in found.channels if state.state not in {"answered", "cached"}]
    if silent:
        return f"{silent[0].name} is {silent[0].state}: {silent[0].detail}"
    return "the channels have no solution for it: see armtorch explain"


def _computer(project: Project, reach: Reach) -> Computer:
    system = reach.system
    if system is None and reach.root is None:
        system = System.running(project.environment)
    return look(reach.root or Path("/"), project.environment, system)


def _native(subdir: str, computer: Computer | None) -> str:
    """Return the subdir of the hardware where another one is asked for, which runs translated.

    macOS and Windows run both; 64-bit programs do not run on a 32-bit Linux.
    """
    if computer is None or computer.hardware == subdir or subdir.startswith("linux-"):
        return ""
    return computer.hardware


def _ours(project: Project, reach: Reach, subdir: str) -> tuple[str, tuple[str, ...]]:
    """Return our channel and its base channels; without a feedstock what is usual."""
    if not project.feedstock.exists():
        return reach.ours or "", _BASE
    feedstock = project.declared()
    return reach.ours or feedstock.channel, base_channels(feedstock, subdir) or _BASE


def _channels(project: Project, reach: Reach) -> Channels:
    return Channels(
        Access(
            cache=project.cache / "repodata",
            alias=reach.alias.rstrip("/"),
            offline=reach.offline,
            timeout=reach.timeout,
        )
    )
