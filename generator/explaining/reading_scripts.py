"""Texts with several installs: Dockerfiles, Apptainer definitions, scripts, READMEs, notebooks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

from generator.errors import ArmtorchError
from generator.explaining.facts import facts
from generator.explaining.reading_commands import Typed, read_command, typed
from generator.explaining.reading_files import Files
from generator.explaining.reading_pip import PipRequest
from generator.explaining.request import Request, name_of

#: what conda tells people to update in its own messages
TOOLS = frozenset({"conda", "mamba", "micromamba", "pixi", "conda-libmamba-solver"})
_SET = re.compile(
    r"^\s*(?:(?:RUN\s+)?(?:export|set|setx|declare -x)\s+|(?:ENV|ARG)\s+|\$env:)(?P<rest>.+)$"
)
_PAIR = re.compile(r"""(?P<name>\w+)(?:\s*=\s*|\s+)(?P<value>"[^"]*"|'[^']*'|\S+)""")
_COPY = re.compile(r"^\s*(?:COPY|ADD)\s+(?:--\S+\s+)*(?P<paths>\S.*)$", re.IGNORECASE)
_FROM = re.compile(r"^\s*FROM\s+(?:--platform=(?P<platform>\S+)\s+)?(?P<image>\S+)", re.IGNORECASE)
_ACTIVATE = re.compile(r"\b(?:conda|mamba|micromamba|source) activate\s+(?P<name>[\w./-]+)")
_SECTION = re.compile(r"^%(?P<name>\w+)")


@dataclass(frozen=True, kw_only=True)
class Unread:
    """An install that could not be read: its file is not here, for one."""

    line: str
    why: ArmtorchError


Step = Request | PipRequest | Unread


def read_script(text: str, files: Files) -> Iterator[Step]:
    """Yield every install in a text, in order, with the variables and files set before it."""
    state = _State(replace(files, variables=dict(files.variables), copied=dict(files.copied)))
    for line in text.splitlines():
        state.take(line)
        try:
            commands = list(typed(line, anywhere=False))
        except ArmtorchError as error:
            yield Unread(line=line.strip(), why=error)
            continue
        for found in commands:
            yield from state.steps(found, line)


class _State:
    """What the lines before an install set: variables, files, the image, the environment."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._variables = dict(files.variables)
        self._image = self._platform = self._active = self._section = ""

    def take(self, line: str) -> None:
        """Note what a line sets."""
        if match := _SECTION.match(line):
            self._section = match["name"]
        elif self._section == "files" and len(parts := line.split()) == 2:
            self._files.copied[parts[1]] = parts[0]
        if match := _FROM.match(line):
            self._image, self._active = match["image"], ""
            named = (match["platform"] or "").lower()
            self._platform = facts().docker_platforms.get(named, "")
        elif match := _COPY.match(line):
            _copy(match["paths"], self._files)
        elif match := _SET.match(line):
            for pair in _PAIR.finditer(match["rest"]):
                value = self._files.expanded(pair["value"].strip("\"'"))
                self._variables[pair["name"]] = value
            self._files = replace(self._files, variables=dict(self._variables))
        if match := _ACTIVATE.search(line):
            self._active = match["name"]

    def steps(self, found: Typed, line: str) -> Iterator[Step]:
        """Yield what one command installs."""
        known = {k: v for k, v in self._variables.items() if k.startswith("CONDA_")}
        try:
            steps = read_command(
                replace(found, variables=known | found.variables), files=self._files
            )
        except ArmtorchError as error:
            yield Unread(line=line.strip(), why=error)
            return
        for step in steps:
            if isinstance(step, Request):
                if {name_of(spec) for spec in step.specs} <= TOOLS:
                    continue
                step = _of_image(step, self._image)  # noqa: PLW2901
            target = step.target or (("-n", self._active) if self._active else ())
            yield replace(step, target=target, subdir=step.subdir or self._platform or None)


def _of_image(request: Request, image: str) -> Request:
    """Give a request the channels that an image's conda asks on its own."""
    if request.override or request.client == "pixi" or not request.defaults:
        return request
    for mark, channels in facts().images.items():
        if mark in image:
            return replace(request, defaults=channels, listed=True)
    return request


def _copy(paths: str, files: Files) -> None:
    """Note where files of the build's folder lie in the image."""
    try:
        *sources, target = [word.strip('[],"') for word in shlex.split(paths)]
    except ValueError:
        return
    for source in sources:
        name = source.rstrip("/").rsplit("/", 1)[-1]
        files.copied[target] = source
        files.copied[f"{target.rstrip('/')}/{name}"] = source
