"""One explanation: solve, find the causes, try what could work instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from rattler import RepoDataRecord

from generator.errors import UnreachableError
from generator.explaining.channels import Asked, Channels
from generator.explaining.computer import Computer, is_tegra, virtual_of
from generator.explaining.diagnosis import diagnose
from generator.explaining.differing import accelerator
from generator.explaining.facts import facts, is_switch
from generator.explaining.findings import Finding
from generator.explaining.notices import excluded, fatal, notices
from generator.explaining.probing import Prober, Setting, Solution, foreign
from generator.explaining.records import accelerator_of, text_of
from generator.explaining.report import Explanation, Outcome, command_of, installed
from generator.explaining.request import Request, channel_of, name_of, parsed
from generator.explaining.requirements import snapshot
from generator.explaining.searching import Search, Suggestion
from generator.explaining.suggesting import Chance, only_switches, suggestions
from generator.packages import packages
from generator.testing import Machine


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
    #: the subdir of the hardware where the request is for another one, "" otherwise
    native: str = ""
    #: machines of other subdirs that the same hardware runs, or that a command may name
    others: Mapping[str, Machine] = field(default_factory=dict)


def explain(request: Request, context: Context) -> Explanation:
    """Explain a request.

    Raises SelectionError (a channel's or a package's name is none), SolveError (the solver did not
    finish), UnreachableError (a channel that answered does so no longer).
    """
    try:
        return _explained(request, context)
    except UnreachableError as error:
        if not context.channels.give_up_cached(error.what):
            raise
        return _explained(request, context)


def _explained(request: Request, context: Context) -> Explanation:
    prober = Prober(context.channels)
    setting = _setting(request, context)
    solution = prober.solve(request.solved, setting)
    machine_subdir = setting.machine.subdir
    found = diagnose(request.solved, setting, prober)
    if request.locked and machine_subdir not in request.locked:
        found = (Finding(cause="locked", offered=request.locked), *found)
    able = {machine_subdir, *facts().emulated_on.get(machine_subdir, ())}
    if request.installers and not able & {*request.installers}:
        found = (Finding(cause="installer", offered=request.installers), *found)
    found = (*found, *_of_other_boards(request, setting, prober))
    outcome = _outcome(request, solution, found, setting)
    dies = fatal(context.machine, context.computer, solution or ())
    shown: tuple[Suggestion, ...] = ()
    told: Suggestion | None = None
    search = Search(
        lambda asked: _setting(asked, context),
        prober,
        refused=lambda brought: _refused(brought, context),
    )
    if outcome == "works" and request.unset and not dies:
        outcome = "unknown"
    elif outcome != "works" or dies or (request.cuda and accelerator(solution or ()) == "cpu"):
        shown, told = suggestions(request, found, _offer(request, found, context), search)
    torchless: list[str] = []
    if outcome == "works" and only_switches(request):
        meant, _ = suggestions(request, found, _offer(request, found, context), search)
        torchless = [f"no torch is in it: {each.request.command()}" for each in meant[:1]]
    brought = shown[0].solution if shown and not dies else solution
    return Explanation(
        command=request.command(),
        subdir=context.machine.subdir,
        virtual_packages=context.machine.virtual_packages,
        channels=setting.sources,
        outcome=outcome,
        installs=installed(_asked(request, solution), solution or (), setting.sources),
        findings=found,
        commands=tuple(
            command_of(each, request, told, _setting(each.request, context).sources)
            for each in shown
        ),
        python=_python(brought or ()),
        warnings=notices(context.machine, context.computer, brought or ()),
        notes=tuple(
            note.replace("{subdir}", machine_subdir)
            for note in (
                # how to lock again, where what is locked is for others alone
                *request.notes[: 1 if machine_subdir in request.locked else None],
                *torchless,
                *_notes(request, context, outcome, brought or (), shown, search, setting.sources),
                *_for_the_gpu(request, setting, prober, solution or ()),
            )
        ),
    )


def _python(records: Iterable[RepoDataRecord]) -> str:
    found = [str(record.version) for record in records if record.name.normalized == "python"]
    return ".".join(found[0].split(".")[:2]) if found else ""


def _setting(request: Request, context: Context) -> Setting:
    machine = context.machine
    if request.subdir not in {None, machine.subdir}:
        machine = context.others.get(str(request.subdir), machine)
    denied = dict(request.denied)
    sources = context.channels.open(
        (name for name in request.searched if name not in denied), machine.subdir
    )
    refused = tuple(
        Asked(name=name, url=context.channels.urls(name)[0], state="denied", detail=denied[name])
        for name in request.searched
        if name in denied
    )
    setting = Setting(
        machine=machine,
        sources=(*sources, *refused),
        strict=request.strict,
        by_name=facts().clients[request.client].by_name,
        arm_variant=_arm_variant(request, machine, context.computer),
    )
    return setting.with_virtual(*request.overrides)


def _arm_variant(request: Request, machine: Machine, computer: Computer | None) -> str:
    """Return which kind of CUDA builds run on the machine, ``tegra`` or ``sbsa``; "" for any.

    conda-forge's arm-variant tells them apart (cuda-feedstock, recipe guide); no virtual package
    does, so a solver takes either.
    """
    if machine.subdir != "linux-aarch64":
        return ""
    if computer is not None:
        return "tegra" if is_tegra(computer) else "sbsa"
    # of a machine that nobody could look at, who names one line of builds knows it better
    named = any(
        "tegra" in spec or name_of(spec) == "arm-variant" or re.search(r"cuda\d{3}", spec)
        for spec in request.specs
    )
    return "" if named else "sbsa"


def _outcome(
    request: Request, solution: Solution | None, found: Iterable[Finding], setting: Setting
) -> Outcome:
    """Tell what fails for sure from what only a channel's silence leaves open (decision D7)."""
    causes = {finding.cause for finding in found}
    silent = bool(causes & {"unreachable", "malformed"})
    if solution is not None:
        sure = causes & {"no-channel", "installer"}
        return "unknown" if silent and not sure else "fails" if causes else "works"
    # a message did fail, and builds of one platform are on no channel for another
    foreign = request.exported not in {"", setting.machine.subdir}
    if not silent or "locked" in causes or request.origin == "error" or foreign:
        return "fails"
    # a channel that answered, and that alone is asked for a package, has decided
    usable = {name for source in setting.usable for name in (source.name, source.url.rstrip("/"))}
    # of what is there already nobody asks anything now
    asked = [finding.spec for finding in found if finding.spec in request.specs]
    return "fails" if any(channel_of(spec) in usable for spec in asked) else "unknown"


def _offer(request: Request, found: tuple[Finding, ...], context: Context) -> Chance:
    """Return what may be suggested to this person on this machine."""
    computer, machine = context.computer, context.machine
    away = excluded(machine, computer)
    hard = [
        f"{name} " + ",".join(f"!={part}" for part in versions.split("|"))
        for name, versions in away.items()
    ]
    cuda = [finding for finding in found if finding.virtual == "__cuda"]
    return Chance(
        subdir=machine.subdir,
        ours="" if _silence(context.ours, context) else context.ours,
        base=tuple(name for name in context.base if not _silence(name, context)),
        native=context.native if request.subdir != context.native else "",
        emulated=tuple(facts().emulated_on.get(machine.subdir, ())),
        # a board computes on itself; a server may be the login node of others
        prepares=(computer is None or not computer.board)
        and not any(text.startswith("__cuda=") for text in machine.virtual_packages)
        and not any(finding.found for finding in cuda),
        hard=(*hard, "pytorch * cpu*"),
        tegra=computer is not None and is_tegra(computer),
    )


def _refused(brought: Solution, context: Context) -> bool:
    """Whether what is installed certainly does not run on the machine."""
    if fatal(context.machine, context.computer, brought):
        return True
    variants = {str(r.build) for r in brought if r.name.normalized == "arm-variant"}
    tegra = context.computer is not None and is_tegra(context.computer)
    return bool(variants) and not any(("tegra" in text) is tegra for text in variants)


def _of_other_boards(request: Request, setting: Setting, prober: Prober) -> Iterator[Finding]:
    """Yield what a Jetson is given that is for servers: nothing tells a client's solver of boards.

    A server is given nothing for Jetson, which arm-variant's own builds keep back.
    """
    if setting.arm_variant != "tegra":
        return
    brought = prober.solve(request.solved, setting.of_any_board) or ()
    asked = [each for each in _asked(request, brought) if foreign(each, setting)]
    for record, shown in zip(asked, installed(asked, (), setting.sources), strict=True):
        yield Finding(
            cause="virtual",
            package=shown.name,
            spec=shown.name,
            channel=shown.channel,
            chain=(text_of(record), "arm-variant * sbsa"),
            virtual="arm-variant",
        )


def _silence(name: str, context: Context) -> str:
    """Return why a channel cannot be suggested, "" where it can."""
    sources = context.channels.open((name,) if name else (), context.machine.subdir)
    bad = [source for source in sources if not source.usable]
    return f"{bad[0].name} is {bad[0].state} ({bad[0].detail})" if bad else ""


def _notes(
    request: Request,
    context: Context,
    outcome: Outcome,
    shown: Iterable[RepoDataRecord],
    suggested: tuple[Suggestion, ...],
    search: Search,
    sources: Iterable[Asked],
) -> Iterator[str]:
    """Say what no virtual package and no cause tells, where it is about this request."""
    said, here, fails = facts().notes, context.machine.subdir, outcome != "works"
    for source in sources:
        if source.state == "unreachable" and (known := snapshot().channels.get(source.name)):
            yield f"channel {source.name}, as seen on {snapshot().day}: {known}"
    own = context.ours in request.searched
    if fails and not own and (why := _silence(context.ours, context)):
        yield said["silent"].format(why=why)
    if request.exported not in {"", here}:
        yield said["export"].format(subdir=request.exported)
    if fails and only_switches(request):
        needless = [name_of(spec) for spec in request.specs if is_switch(name_of(spec))]
        them = "them" if needless[1:] else "it"
        yield said["needless"].format(names=" and ".join(needless), subdir=here, them=them)
    if request.unset:
        yield said["unset"].format(names=", ".join(request.unset))
    if search.late:
        yield said["late"].format(seconds=f"{facts().search_seconds:.0f}")
    if request.origin == "error" and not fails:
        yield said["pasted"]
    if fails and not suggested and here in facts().besides:
        yield facts().besides[here]
    asked = suggested[0].request if suggested else request
    driver = virtual_of(context.machine.virtual_packages, "__cuda") or facts().override_cuda
    needs_driver = any(each.split()[0] == "__cuda" for record in shown for each in record.depends)
    if asked.client == "pixi" and asked.verb == "add" and needs_driver and not asked.overrides:
        yield said["driver"].format(driver=driver)


def _for_the_gpu(
    request: Request, setting: Setting, prober: Prober, solution: Solution
) -> Iterator[str]:
    """Say what a machine with a GPU gets for its CPU: unasked, or under a name others go by."""
    driver = virtual_of(setting.machine.virtual_packages, "__cuda")
    if not driver:
        return
    texts = (each for spec in request.solved for each in (name_of(spec), parsed(spec).build or ""))
    if accelerator(solution) == "cpu" and not any("cpu" in text for text in texts):
        torch = prober.solve((*request.solved, "pytorch * cuda*"), setting)
        other = replace(request, specs=(*request.specs, "pytorch=*=cuda*"))
        yield "torch computes on the CPU in it, though there is a GPU: " + (
            f"for that one it is {other.command()}"
            if torch
            else f"no build for CUDA goes with this and with the driver (CUDA {driver})"
        )
    cpu = {r.name.normalized for r in solution if accelerator_of(r) == "cpu"}
    for spec in request.specs:
        row = packages().get(name_of(spec))
        if row is None or not row.aside or name_of(spec) not in cpu:
            continue
        # its versions are others'
        other = request.swap(spec, row.aside)
        found = prober.solve(other.solved, setting) or ()
        if any(r.name.normalized == row.aside for r in found):
            yield (
                f"{name_of(spec)} is for the CPU here, and so is its torch; for the GPU it is "
                f"called {row.aside}: {other.command()}"
            )


def _asked(request: Request, solution: Solution | None) -> list[RepoDataRecord]:
    by_name = {record.name.normalized: record for record in solution or ()}
    return [by_name[name_of(spec)] for spec in request.specs if name_of(spec) in by_name]
