"""``explain``, ``coverage`` and ``doctor``: tell a person about a channel and a machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from generator.errors import SelectionError
from generator.explaining.boards import Checkup, fitting_cell
from generator.explaining.computer import jetson, overrides
from generator.explaining.context import Context
from generator.explaining.coverage import Coverage, coverage
from generator.explaining.desk import (
    ExplainOptions,
    Reach,
    channels_of,
    computer_of,
    condarc_of,
    open_desk,
    ours_of,
)
from generator.explaining.explain import explain
from generator.explaining.facts import facts
from generator.explaining.installs import judged
from generator.explaining.notices import machine_notices
from generator.explaining.reading import Reader
from generator.explaining.reading_messages import machine_told
from generator.explaining.reading_scripts import Unread
from generator.explaining.report import Answer, Explanation
from generator.explaining.request import Request
from generator.model import Cell
from generator.packages import is_companion
from generator.project import Project

__all__ = ["ExplainOptions", "Reach"]


def explain_request(project: Project, text: str, options: ExplainOptions) -> Explanation:
    """Explain what an input asks last; see :func:`explain_input`."""
    return explain_input(project, text, options).installs[-1]


def explain_input(project: Project, text: str, options: ExplainOptions) -> Answer:
    """Judge every install of a command, a file or a message, in order.

    Raises SelectionError (it cannot be read as one, or a subdir or virtual package is none),
    SolveError (the solver did not finish), UnreachableError (a channel that had answered stopped
    answering).
    """
    for virtual in options.virtual:
        if re.fullmatch(r"__\w+=[^=\s]+(=\S+)?", virtual) is None:
            raise SelectionError(
                "not a virtual package", where=virtual, next_step="write it like __cuda=13.0"
            )
    desk = open_desk(project, options)
    told, driver, jetpack = machine_told(text, desk.computer.hardware)
    if jetpack is not None and options.subdir is None and not desk.computer.jetpack:
        desk = replace(desk, computer=jetson(jetpack))
    subdir = options.subdir or told or desk.computer.subdir
    reader = Reader(folder=Path.cwd(), variables=project.environment, subdir=subdir)
    steps = reader.read(text)
    # a client's own word for it is nearer than that of the machine
    named = any(step.subdir for step in steps if not isinstance(step, Unread))
    options = replace(
        options,
        subdir=options.subdir or (None if named else told),
        virtual=(*overrides(project.environment), *driver, *options.virtual),
    )
    return judged(steps, replace(desk, options=options))


def compare_channels(project: Project, against: Sequence[str], reach: Reach) -> Coverage:
    """Compare our channel with others, cell by cell; raises SelectionError, FeedstockError."""
    ours, _ = ours_of(project, reach, "")
    if not ours:
        raise SelectionError(
            "no channel to compare: there is no feedstock here",
            where=str(project.feedstock),
            next_step="run it in the feedstock's folder, or name your channel with --channel",
        )
    return coverage(
        channels_of(project, reach, condarc_of(project, reach)), ours, against, project.locked()
    )


def check_machine(project: Project, reach: Reach, virtual: tuple[str, ...] = ()) -> Checkup:
    """Say what the machine is, which cell fits it, and which command installs that.

    ``virtual`` replaces virtual packages, ``__cuda=13.0``; so do the variables CONDA_OVERRIDE_*.
    """
    computer = computer_of(project, reach, virtual)
    ours, base = ours_of(project, reach, computer.subdir)
    cell = fitting_cell(project.locked(), computer)
    request = Request(
        client="conda",
        verb="create",
        target=("-n", "torch"),
        specs=facts().trio,
        channels=(ours, *base) if cell is not None else base,
        defaults=base,
    )
    context = Context(
        channels=channels_of(project, reach, condarc_of(project, reach)),
        machine=computer.machine(),
        computer=computer,
        ours=ours,
        base=base,
    )
    found = explain(request, context)
    if cell is not None and (cell.accelerator.tegra or not _brings(found, cell)):
        # the solver would take something else: newer and worse, or without the GPU
        series = ".".join(cell.torch.split(".")[:2])
        request = request.swap("pytorch", f"pytorch={series}=*{cell.accelerator.build_prefix}*")
        if board := cell.accelerator.board_spec:
            request = replace(request, specs=(*request.specs, board))
        found = explain(request, context)
    verified = found.outcome == "works"
    return Checkup(
        computer=computer,
        cell=cell.name if cell is not None else "",
        companions={}
        if cell is None
        else {str(name): found for name, found in cell.fill.items() if is_companion(name)},
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
