"""Texts with several installs: Dockerfiles, Apptainer definitions, scripts, READMEs, notebooks."""

from __future__ import annotations

import itertools
import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from generator.errors import ArmtorchError
from generator.explaining.facts import facts, pattern
from generator.explaining.reading_commands import Typed, read_command, typed
from generator.explaining.reading_files import Files
from generator.explaining.reading_pip import PipRequest
from generator.explaining.reading_text import RUNNER, plain
from generator.explaining.request import Request, name_of

#: what conda tells people to update in its own messages
TOOLS = frozenset({"conda", "mamba", "micromamba", "pixi", "conda-libmamba-solver"})


#: what pip installs itself with, for any machine
_OF_PIP = frozenset({"pip", "setuptools", "wheel"})


@dataclass(frozen=True, kw_only=True)
class Unread:
    """An install that could not be read: its file is not here, for one."""

    line: str
    why: ArmtorchError


Step = Request | PipRequest | Unread


def read_script(text: str, files: Files, *, code: bool, subdir: str) -> Iterator[Step]:
    """Yield every install in a text, in order, with the variables and files set before it.

    Between a sentence's words none is looked for: but in ``code``, and in a text's fences.
    """
    files = replace(files, variables=dict(files.variables), copied=dict(files.copied))
    made = replace(files, made=dict(files.made))
    state = _State(made, facts().containers.get(subdir, ""))
    yield from _steps(text, state, code=code, subdir=subdir)


def _steps(text: str, state: _State, *, code: bool, subdir: str) -> Iterator[Step]:
    """Yield the installs of a text's lines, and of the scripts that they run."""
    fenced = False
    for match in pattern("heredoc").finditer(text):
        state.write(match["to"] or match["into"], textwrap.dedent(match["body"]))
    text = pattern("heredoc").sub("", text)
    for written in _running(text.splitlines(), subdir):
        if pattern("comment").match(written):
            continue
        fenced = fenced is not written.lstrip().startswith(("```", "~~~"))
        line = state.take(pattern("span").sub("`", written))
        if code or fenced:
            state.installs(line)
        if (code or fenced) and (script := state.script(line)):
            yield from _steps(script, state, code=True, subdir=subdir)
        try:
            commands = list(typed(line, anywhere=False, code=code or fenced))
        except ArmtorchError as error:
            yield Unread(line=line.strip(), why=error)
            continue
        for found in commands:
            yield from state.steps(found, line)


class _State:
    """What the lines before an install set: variables, files, the image, the environment."""

    def __init__(self, files: Files, container: str) -> None:
        self._files, self._container = files, container
        self._own, self._variables = files.variables, dict(files.variables)
        self._image = self._platform = self._section = ""
        self._active: tuple[str, ...] = ()
        self._channels: list[str] = []
        self._removed: set[str] = set()
        self._strict, self._ran, self._python = False, set[str](), ""
        self._subdirs: dict[tuple[str, ...], str] = {}
        self._installers: list[str] = []
        #: the number of the stage that a line is in, and that of each by its name
        self._stage, self._stages, self._number = 0, dict[str, int](), itertools.count(1)

    def write(self, name: str, content: str) -> None:
        """Note what a text writes into a file."""
        self._files.made[name] = content

    def script(self, line: str) -> str:
        """Return the text of a script that a line runs, each once; "" for none that is here."""
        found = pattern("runs").search(line)
        if found is None or found["file"] in self._ran:
            return ""
        self._ran.add(found["file"])
        try:
            return plain(self._files.content(found["file"]))
        except ArmtorchError:
            return ""

    def installs(self, line: str) -> None:
        """Note for which machine a conda is that a line installs."""
        for installer in pattern("installer").finditer(line):
            for_whom = facts().installers.get((installer["machine"] or "").lower())
            self._installers += [for_whom] if for_whom else []

    def take(self, line: str) -> str:
        """Note what a line sets, and return it with the variables that are known."""
        line = self._files.expanded(line)
        if match := pattern("section").match(line):
            self._section = match["name"]
        elif self._section == "files" and len(parts := line.split()) == 2:
            self._files.copied[parts[1]] = parts[0]
        if match := pattern("from").match(line):
            # the container of a job on a runner is of that runner's machine
            above = self._platform if self._image == RUNNER else ""
            self._image, self._active = match["image"], ()
            # each stage and each job begins with what its image has
            self._stage = self._stages.get(match["image"], next(self._number))
            self._stages[match["name"] or ""] = self._stage
            self._channels, self._removed, self._strict = [], set(), False
            named = (match["platform"] or "").lower()
            # a runner is not the person's own machine
            own = (above or self._container) if match["image"] != RUNNER else ""
            self._platform = facts().docker_platforms.get(named, own)
        elif match := pattern("copy").match(line):
            _copy(match["paths"], self._files)
            if source := re.search(r"--from=(\S+)", line):
                self._stage = self._stages.get(source[1], self._stage)
        elif match := pattern("workdir").match(line):
            self._files = replace(self._files, inside=match["folder"])
        elif match := pattern("set").match(line):
            for pair in pattern("pair").finditer(match["rest"]):
                self._variables[pair["name"]] = pair["value"].strip("\"'")
            self._files = replace(self._files, variables=dict(self._variables))
        self._configure(line)
        return line

    def _configure(self, line: str) -> None:
        """Note the channels and the environment that a line chooses."""
        for match in pattern("config").finditer(line):
            if match["key"] == "channel_priority":
                self._strict = match["value"] == "strict"
            elif match["how"] == "remove":
                self._removed.add(match["value"])
            else:
                place = len(self._channels) if match["how"] == "append" else 0
                self._channels.insert(place, match["value"])
        if installer := pattern("installer").search(line):
            self._image = installer["of"].lower()
        for mount in pattern("mount").finditer(line):
            self._files.copied[mount["target"]] = mount["source"]
        if venv := pattern("venv").search(line):
            self._python = venv["uv"] or venv["python"]
        if driver := pattern("driver").search(line):
            self._variables["CONDA_OVERRIDE_CUDA"] = driver["cuda"]
        if configured := pattern("subdir").search(line):
            # an environment's own, or that of all
            own = "--env" in line or "vars" in line
            self._subdirs[self._active if own else ()] = configured["subdir"]
        if active := pattern("activate").search(line):
            name = active["name"]
            self._active = ("-p" if name[0] in "~." or "/" in name else "-n", name)

    def steps(self, found: Typed, line: str) -> Iterator[Step]:
        """Yield what one command installs."""
        known = {k: v for k, v in self._variables.items() if k.startswith("CONDA_")}
        # what pip is configured to ask is asked anyway
        said = self._variables.items() - self._own.items()
        known |= {k: v for k, v in said if k.startswith("PIP_")}
        try:
            steps = read_command(
                replace(found, variables=known | found.variables), files=self._files
            )
        except ArmtorchError as error:
            yield Unread(line=line.strip(), why=error)
            return
        for step in steps:
            if isinstance(step, PipRequest) and {*step.requirements} <= _OF_PIP and not step.unread:
                continue
            if isinstance(step, PipRequest):
                python, musl = step.python or self._python, "alpine" in self._image
                step = replace(step, python=python, musl=musl)  # noqa: PLW2901
            if isinstance(step, Request):
                if {name_of(spec) for spec in step.specs} <= TOOLS:
                    continue
                installers, self._installers = tuple(dict.fromkeys(self._installers)), []
                step = replace(self._configured(step), installers=installers)  # noqa: PLW2901
            target = step.target or self._active
            configured = self._subdirs.get(target) or self._subdirs.get(())
            yield replace(
                step,
                target=target,
                subdir=step.subdir or configured or self._platform or None,
                stage=self._stage,
            )

    def _configured(self, request: Request) -> Request:
        """Give a request the channels that were configured before it, or that its image has."""
        if request.override or request.client == "pixi" or not request.defaults:
            return request
        strict = request.strict or (self._strict and not request.loose)
        marks = facts().images.items()
        image = next((names for mark, names in marks if mark in self._image), ())
        if not (image or self._channels or self._removed):
            return replace(request, strict=strict)
        own = dict.fromkeys((*self._channels, *(image or request.defaults)))
        left = tuple(name for name in own if name not in self._removed)
        return replace(request, defaults=left, listed=True, strict=strict)


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


@dataclass
class _Branch:
    """One ``if`` or ``case`` that is open: whether its lines run, and whether one of it did."""

    runs: bool
    done: bool
    #: what a ``case`` is about, "" for an ``if``
    case: str = ""

    def enter(self, holds: bool | None) -> None:
        self.runs = not self.done and holds is not False
        self.done = self.done or holds is True


def _running(lines: Iterable[str], subdir: str) -> Iterator[str]:
    """Yield a script's lines without the branches that are for other systems than a subdir's.

    A condition about anything else holds and does not: both its branches are yielded.
    """
    branches: list[_Branch] = []
    parts = [
        part
        for line in lines
        for part in (pattern("parts").split(line) if pattern("one_line").match(line) else [line])
    ]
    for line in _bodies_last(parts):
        left = _taken(line, branches, subdir)
        if left and all(each.runs for each in branches):
            yield left


def _taken(line: str, branches: list[_Branch], subdir: str) -> str:
    """Note what a line opens and closes, and return what else it says."""
    word = line.strip().rstrip(";")
    if (match := pattern("if").match(line)) and (match["how"] == "if" or branches):
        if match["how"] == "if":
            branches.append(_Branch(runs=True, done=False))
        branches[-1].enter(_holds(match["what"], subdir))
    elif match := re.match(r"^\s*case\s+(?P<what>.+?)\s+in\s*$", line):
        branches.append(_Branch(runs=True, done=False, case=match["what"]))
    elif word in {"fi", "esac"} and branches:
        branches.pop()
    elif word == "else" and branches:
        branches[-1].enter(None)
    elif branches and branches[-1].case and (match := pattern("label").match(line)):
        labels = match["labels"].replace("|", " ")
        about = f"{branches[-1].case} {labels}"
        branches[-1].enter(None if labels == "*" else _holds(about, subdir))
        return match["line"] or ""
    elif match := pattern("short").match(line):
        holds = _holds(match["what"], subdir)
        runs = holds is None or holds is (match["how"] == "&&")
        return match["line"] if runs else ""
    else:
        return line
    return ""


def _holds(condition: str, subdir: str) -> bool | None:
    """Whether a condition holds on a subdir's machines; None for what is about anything else."""
    found = []
    for alternative in re.split(r"\|\||\s-o\s", condition):
        parts = [_part(part, subdir) for part in re.split(r"&&|\s-a\s", alternative)]
        found.append(False if False in parts else None if None in parts else True)
    return True if True in found else None if None in found else False


def _part(condition: str, subdir: str) -> bool | None:
    systems, text = facts().systems, condition.lower()
    known = {name for names in systems.values() for name in names}
    words = set(re.findall(r"[a-z0-9_]+(?:[-/][a-z0-9_]+)*", text)) & known
    if not words or subdir not in systems or not pattern("asks").search(text):
        return None
    denied = "!=" in text or text.lstrip(" [(").startswith("!")
    return bool(words & set(systems[subdir])) is not denied


def _bodies_last(lines: Iterable[str]) -> list[str]:
    """Put the bodies of functions behind all other lines: most are called when those are done."""
    plain: list[str] = []
    bodies: list[str] = []
    end = ""
    for line in lines:
        if not end and (match := pattern("function").match(line)):
            end = f"{match['indent']}}}"
        elif line == end:
            end = ""
        else:
            (bodies if end else plain).append(line)
    return plain + bodies
