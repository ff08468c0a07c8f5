"""One explanation: solve, find the causes, try what could work instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from rattler import RepoDataRecord

from generator.errors import UnreachableError
from generator.explaining.channels import Asked
from generator.explaining.computer import virtual_of
from generator.explaining.context import Context
from generator.explaining.diagnosis import diagnose
from generator.explaining.differing import accelerator
from generator.explaining.facts import facts, is_switch
from generator.explaining.findings import Finding
from generator.explaining.notices import fatal, notices
from generator.explaining.probing import Prober, Setting, Solution, foreign
from generator.explaining.records import accelerator_of, text_of
from generator.explaining.report import Explanation, Outcome, command_of, installed
from generator.explaining.request import Request, channel_of, name_of, parsed
from generator.explaining.requirements import snapshot
from generator.explaining.searching import Search, Suggestion
from generator.explaining.suggesting import only_switches, suggestions
from generator.packages import packages


def explain(request: Request, context: Context) -> Explanation:
    """Explain a request; raises SelectionError, SolveError, UnreachableError."""
    try:
        return _explained(request, context)
    except UnreachableError as error:
        if not context.channels.give_up_cached(error.what):
            raise
        return _explained(request, context)


def _explained(request: Request, context: Context) -> Explanation:
    prober = Prober(context.channels)
    setting = context.setting(request)
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
    search = Search(context, prober)
    if outcome == "works" and request.unset and not dies:
        outcome = "unknown"
    elif outcome != "works" or dies or (request.cuda and accelerator(solution or ()) == "cpu"):
        shown, told = suggestions(request, found, search)
    torchless: list[str] = []
    if outcome == "works" and only_switches(request):
        meant, _ = suggestions(request, found, search)
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
            command_of(each, request, told, search.setting(each.request).sources) for each in shown
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
    if fails and not own and (why := context.silence(context.ours)):
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
