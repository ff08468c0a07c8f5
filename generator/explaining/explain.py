"""One explanation: solve, find the causes, try what could work instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from rattler import RepoDataRecord

from generator.datafiles import subdirs
from generator.explaining.channels import Channels, Source
from generator.explaining.computer import Computer
from generator.explaining.diagnosis import diagnose
from generator.explaining.edits import Edit, edits
from generator.explaining.facts import facts
from generator.explaining.findings import Finding
from generator.explaining.notices import excluded, fatal, notices
from generator.explaining.probing import Prober, Setting, Solution
from generator.explaining.report import (
    Explanation,
    Outcome,
    channel_state,
    command_of,
    installed,
)
from generator.explaining.request import Request, name_of
from generator.explaining.suggesting import Suggestion, suggest
from generator.matrix import PROJECTS
from generator.model import Lock
from generator.testing import Machine

#: characters of one gap
_DETAIL: Final = 120


@dataclass(frozen=True, kw_only=True)
class Context:
    """What an explanation knows beside the request."""

    channels: Channels
    machine: Machine
    #: None where the request is for another machine than this one
    computer: Computer | None = None
    #: our channel as commands name it, "" for none
    ours: str = ""
    #: what ours needs beside it
    base: tuple[str, ...] = ()
    #: read only when nothing works: it is long
    lock: Callable[[], Lock] = Lock
    #: the subdir of the hardware where the request is for another one, "" otherwise
    native: str = ""
    #: the machine for that subdir
    native_machine: Machine | None = None


def explain(request: Request, context: Context) -> Explanation:
    """Explain a request.

    Raises:
        SelectionError: a channel's or a package's name is none.
        SolveError: the solver did not finish.

    """
    prober = Prober(context.channels)
    setting = _setting(request, context)
    solution = prober.solve(request.solved, setting)
    found = diagnose(request.solved, setting, prober)
    outcome = _outcome(solution, found)
    suggestions: tuple[Suggestion, ...] = ()
    dies = fatal(context.machine, context.computer, solution or ())
    if outcome != "works" or dies:
        suggestions = _suggestions(request, found, solution, context, prober)
    shown = suggestions[0].solution if suggestions and not dies else solution
    return Explanation(
        command=request.command(),
        subdir=context.machine.subdir,
        virtual_packages=context.machine.virtual_packages,
        channels=tuple(channel_state(source) for source in setting.sources),
        outcome=outcome,
        installs=installed(_asked(request, solution), setting.sources),
        findings=found,
        commands=tuple(
            command_of(each, _setting(each.request, context).sources) for each in suggestions
        ),
        missing_upstream=_missing(request, context)
        if outcome == "fails" and not suggestions
        else (),
        warnings=notices(context.machine, context.computer, shown or ()),
        notes=(*request.notes, *_notes(request, context, outcome, shown or (), suggestions)),
    )


def _setting(request: Request, context: Context) -> Setting:
    machine = context.machine
    if context.native_machine is not None and request.subdir == context.native:
        machine = context.native_machine
    setting = Setting(
        machine=machine,
        sources=context.channels.open(request.searched, machine.subdir),
        strict=request.strict,
        by_name=facts().clients[request.client].by_name,
    )
    for virtual in request.overrides:
        setting = setting.with_virtual(virtual)
    return setting


def _outcome(solution: Solution | None, found: Iterable[Finding]) -> Outcome:
    """Clients stop at a channel that fails, whatever the others have."""
    causes = {finding.cause for finding in found}
    if solution is not None:
        return "fails" if causes else "works"
    return "unknown" if causes & {"unreachable", "malformed"} else "fails"


def _suggestions(
    request: Request,
    found: tuple[Finding, ...],
    solution: Solution | None,
    context: Context,
    prober: Prober,
) -> tuple[Suggestion, ...]:
    def setting_of(asked: Request) -> Setting:
        return _setting(asked, context)

    def refused(brought: Solution) -> bool:
        return fatal(context.machine, context.computer, brought)

    computer = context.computer
    possible = edits(
        request,
        found,
        ours="" if _silence(context) else context.ours,
        base=context.base,
        native=context.native,
        # a board computes on itself; a server may be the login node of others
        prepares=computer is None or not computer.board,
        excluded=excluded(context.machine, computer),
    )
    if solution is not None and found:
        # only a channel is in the way: the same command without it
        return suggest(request, [_without_silent(setting_of(request).sources)], setting_of, prober)
    return suggest(request, possible, setting_of, prober, refused=refused)


def _silence(context: Context) -> str:
    """Return why our channel cannot be suggested, "" where it can."""
    if not context.ours:
        return ""
    sources = context.channels.open((context.ours,), context.machine.subdir)
    bad = [source for source in sources if not source.usable]
    return f"{bad[0].name} is {bad[0].state} ({bad[0].detail})" if bad else ""


def _without_silent(sources: tuple[Source, ...]) -> Edit:
    silent = [source.name for source in sources if not source.usable]
    words = f"without the channel {', '.join(silent)}"
    # the search leaves out such channels of every command it found; this one changes nothing else
    return Edit(choice="drop", key="channel", cost=1.0, words=words, apply=lambda asked: asked)


def _notes(
    request: Request,
    context: Context,
    outcome: Outcome,
    shown: Iterable[RepoDataRecord],
    suggestions: tuple[Suggestion, ...],
) -> Iterator[str]:
    """Say what no virtual package and no cause tells, where it is about this request."""
    if outcome != "works" and context.ours not in request.searched and (why := _silence(context)):
        yield f"{why}, so nothing of it is suggested; --channel names another"
    if request.origin == "error" and outcome == "works":
        yield (
            "what you pasted did fail: perhaps in an environment with other packages "
            "(--python), with other channels (--default-channels), or before they came"
        )
    asked = suggestions[0].request if suggestions else request
    needs_driver = any(each.split()[0] == "__cuda" for record in shown for each in record.depends)
    if asked.client == "pixi" and asked.verb == "add" and needs_driver and not asked.overrides:
        yield (
            "pixi solves for what the workspace says, not for this machine: "
            f"pixi workspace system-requirements add cuda {_cuda(context.machine)}"
        )


def _cuda(machine: Machine) -> str:
    found = [each.split("=")[1] for each in machine.virtual_packages if each[:7] == "__cuda="]
    return found[-1] if found else facts().override_cuda


def _asked(request: Request, solution: Solution | None) -> list[RepoDataRecord]:
    by_name = {record.name.normalized: record for record in solution or ()}
    return [by_name[name_of(spec)] for spec in request.specs if name_of(spec) in by_name]


def _missing(request: Request, context: Context) -> tuple[str, ...]:
    """Return what the lock says upstream does not serve for the machine's subdir."""
    names = {name_of(spec) for spec in request.specs}
    python = next((spec for spec in request.solved if name_of(spec) == "python"), "")
    subdir, lock = context.machine.subdir, context.lock()
    found = [
        f"{row.train}/{row.subdir}/{row.accelerator}: {row.reason}: {row.detail}"
        for row in lock.absent
        if row.subdir == subdir
    ]
    for cell in lock.cells:
        if cell.subdir == subdir:
            found += [
                f"{cell.name}: {row.package or 'everything'}"
                f"{f' for Python {row.python}' if row.python else ''}: {row.reason}: {row.detail}"
                for row in cell.absent
                if (not row.package or row.package in names)
                and (not row.python or row.python in python)
            ]
    found += [
        f"{name}: held back since {row.since}: {row}"
        for name, row in lock.all_held()
        if name.split("/")[1] == subdir
        and (row.project == "torch" or row.project in names)
        and (row.python is None or str(row.python) in python)
    ]
    if not found and subdir in subdirs() and not any(cell.subdir == subdir for cell in lock.cells):
        projects = ", ".join(dict.fromkeys(PROJECTS.values()))
        found.append(f"{subdir}: absent: the lock has no wheel of {projects} for it")
    return tuple(dict.fromkeys(_short(text) for text in found))


def _short(text: str) -> str:
    """Leave the evidence to `armtorch matrix`, which has it in full."""
    return text if len(text) <= _DETAIL else text[:_DETAIL].rsplit(" ", 1)[0] + " ..."
