"""Judges the installs of one input in order, each in the environment that those before it leave."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any

from generator.errors import ArmtorchError, SelectionError
from generator.explaining.desk import Desk
from generator.explaining.facts import facts, pattern
from generator.explaining.one_install import Environment, explain_conda, explain_pip, unsolved
from generator.explaining.reading import read_request
from generator.explaining.reading_manifests import PIP_SECTION
from generator.explaining.reading_pip import PipRequest
from generator.explaining.reading_scripts import Step, Unread
from generator.explaining.report import Answer, Explanation, Installed
from generator.explaining.request import Request, name_of
from generator.explaining.requirements import Place, conda_names, project_of
from generator.explaining.wheels import Judged, plainly


@dataclass(frozen=True)
class _File:
    """An environment file: what works instead of it, and what was found of its two parts."""

    given: Request
    document: dict[str, Any]
    found: tuple[Explanation, ...]
    pip: PipRequest | None = None


def judged(steps: Sequence[Step], desk: Desk) -> Answer:
    """Judge each install; one that fails leaves what the first command that works would."""
    environments: dict[tuple[int, tuple[str, ...]], Environment] = {}
    found: list[Explanation] = []
    files: list[_File] = []
    for step in steps:
        if isinstance(step, Unread):
            found.append(_unread(step, desk))
            continue
        # where no other is named and none is active, it is the base environment
        place = (step.stage, _called(step.target[:2], environments))
        before = environments.get(place, Environment(python=desk.options.python or ""))
        if isinstance(step, PipRequest):
            found.append(explain_pip(step, before, desk))
            if found[-1].outcome != "fails":
                wheels = (pattern("wheel").search(each) for each in step.unread)
                torch = next((each[0] for each in wheels if each and each["name"] == "torch"), "")
                environments[place] = replace(before, wheel=torch or before.wheel)
            if files and step.tool == PIP_SECTION:
                files[-1] = replace(files[-1], pip=step, found=(*files[-1].found, found[-1]))
            continue
        for request in _platforms(step, desk):
            explanation = explain_conda(request, before, desk)
            found.append(explanation)
            given = _given(request, explanation)
            left = _left(given, explanation)
            if request.document and left:
                files.append(_File(given, request.document, (explanation,)))
            kept = () if request.verb in {"create", "env create"} else before.specs
            # an environment that was there before has a Python that nobody told of
            named = request.verb == "create" or any(name_of(s) == "python" for s in given.specs)
            python = explanation.python if named else ""
            environments[place] = Environment(
                tuple(dict.fromkeys((*kept, *left))),
                python or before.python,
                before.subdir or (given.subdir if explanation.commands else None),
                _torch(explanation) or (before.torch if kept else ""),
            )
    broken = (
        each
        for each in files
        if Answer(installs=each.found).outcome == "fails"
        or any(one.commands and not one.wheels for one in each.found)
    )
    return Answer(installs=tuple(found), file=next((_mended(each) for each in broken), ""))


def _called(
    target: tuple[str, ...], known: dict[tuple[int, tuple[str, ...]], Environment]
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
    place = Place(last.subdir or "", last.python)
    return _corrected(given, pip, wheels, variables, place)


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


def _platforms(request: Request, desk: Desk) -> Iterator[Request]:
    """Yield a request for each platform that its file is for, the machine's own first."""
    # what is typed is what the client is told
    typed = request.subdir if request.typed_subdir else None
    own = typed or desk.options.subdir or request.subdir or desk.computer.subdir
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


def _unread(step: Unread, desk: Desk) -> Explanation:
    error: ArmtorchError = step.why
    why = f"{error.where}: {error.what}; {error.next_step}"
    return unsolved(desk, step.line, "unknown", unseen=(why,))


def _corrected(
    given: Request,
    pip: PipRequest | None,
    wheels: Sequence[Judged],
    variables: Mapping[str, object],
    place: Place,
) -> str:
    """Return the environment.yml of a request that works, its pip section carried over.

    ``pip`` is the section as it was, ``wheels`` what was found of it, for ``place``.
    """
    name = given.target[1] if given.target[:1] == ("-n",) else "torch"
    channels = [*given.searched, *(["nodefaults"] if given.override else [])]
    specs = list(given.specs)
    if pip is not None and not any(re.match(r"pip(?![\w-])", spec) for spec in specs):
        specs.append("pip")
    lines = []
    if given.subdir:
        lines.append(f"# for {given.subdir}: conda env create --platform {given.subdir}")
    lines += [f"name: {_scalar(name)}", "channels:", *(f"  - {_scalar(each)}" for each in channels)]
    lines += ["dependencies:", *(f"  - {_scalar(each)}" for each in specs)]
    if pip is not None:
        lines += [
            "  - pip:",
            *(f"      - {line}" for line in _section(pip, wheels, place)),
        ]
    if variables:
        lines += ["variables:", *(f"  {key}: {json.dumps(str(v))}" for key, v in variables.items())]
    return "\n".join(lines) + "\n"


def _section(pip: PipRequest, wheels: Sequence[Judged], place: Place) -> Iterator[str]:
    here = tuple(each for each in pip.requirements if place.takes(each))
    mended = plainly(replace(pip, requirements=here), place)
    if mended.index:
        yield _scalar(f"--index-url {mended.index}")
    for url in mended.extra:
        yield _scalar(f"--extra-index-url {url}")
    notes = {project_of(w.requirement): f"  # {w.detail}" for w in wheels if w.state == "fails"}
    # what is for other machines stays as it is, last
    for each in (*mended.requirements, *(e for e in pip.requirements if e not in here)):
        yield f"{_scalar(each)}{notes.get(project_of(each), '')}"
    for name in mended.unread:
        yield f"{_scalar(name)}  # not looked at"


def _scalar(text: str) -> str:
    return json.dumps(text) if pattern("special").search(text) else text
