"""``explain``, ``coverage`` and ``doctor``: tell a person about a channel and a machine."""

from __future__ import annotations

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
    read_request,
)
from generator.model import Lock
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
    if options.default_channels and request.defaults:
        request = replace(request, defaults=options.default_channels)
    if options.python:
        request = replace(request, beside=(f"python={options.python}",))
    subdir = options.subdir or request.subdir
    if request.origin != "command":
        # it says where it was met, and no command needs to say that
        request = replace(request, subdir=None)
    if subdir is not None and subdir not in get_args(SubdirLiteral):
        raise SelectionError(
            "not a conda subdir", where=subdir, next_step="for example --subdir linux-aarch64"
        )
    # another subdir is another machine, but for the other one that this hardware can run
    computer = _computer(project, options.reach)
    own = subdir in {None, computer.subdir, computer.hardware}
    machine = computer.machine(subdir=subdir, added=options.virtual)
    native = _native(machine.subdir, computer if own else None)
    ours, base, lock = _ours(project, options.reach, machine.subdir)
    context = Context(
        channels=_channels(project, options.reach),
        machine=machine,
        computer=replace(computer, conda=machine.subdir) if own else None,
        ours=ours,
        base=base,
        lock=lock,
        native=native,
        native_machine=computer.machine(subdir=native) if native else None,
    )
    machine.records()  # refuses what is no virtual package
    return explain(request, context)


def compare_channels(project: Project, against: Sequence[str], reach: Reach) -> Coverage:
    """Compare our channel with others, cell by cell; raises SelectionError, FeedstockError."""
    ours, _, lock = _ours(project, reach, "")
    return coverage(_channels(project, reach), ours, against, lock)


def check_machine(project: Project, reach: Reach) -> Checkup:
    """Say what the machine is, which cell fits it, and which command installs that."""
    computer = _computer(project, reach)
    ours, base, lock = _ours(project, reach, computer.subdir)
    cell = fitting_cell(lock, computer)
    specs = _TRIO if cell is not None else ()
    request = Request(
        client="conda", verb="create", target=("-n", "torch"), specs=specs, channels=(ours,),
        defaults=base,
    )  # fmt: skip
    found = None
    if cell is not None:
        context = Context(
            channels=_channels(project, reach),
            machine=computer.machine(),
            computer=computer,
            ours=ours,
            base=base,
            lock=lock,
        )
        found = explain(request, context)
    verified = found is not None and found.outcome == "works"
    return Checkup(
        computer=computer,
        cell=cell.name if cell is not None else "",
        command=request.command() if cell is not None else "",
        verified=verified,
        detail="" if verified or found is None else _first_reason(found),
        warnings=machine_notices(computer),
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


def _ours(project: Project, reach: Reach, subdir: str) -> tuple[str, tuple[str, ...], Lock]:
    """Return our channel, its base channels and the lock; without a feedstock what is usual."""
    if reach.ours is not None and not project.feedstock.exists():
        return reach.ours, _BASE, Lock()
    if not project.feedstock.exists():
        return "", _BASE, Lock()
    feedstock = project.declared()
    base = base_channels(feedstock, subdir) or _BASE
    return reach.ours or feedstock.channel, base, project.locked()


def _channels(project: Project, reach: Reach) -> Channels:
    return Channels(
        Access(
            cache=project.cache / "repodata",
            alias=reach.alias.rstrip("/"),
            offline=reach.offline,
            timeout=reach.timeout,
        )
    )
