"""Texts with several installs: Dockerfiles, Apptainer definitions, scripts, READMEs, notebooks."""

from __future__ import annotations

import itertools
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace

from generator.errors import ArmtorchError
from generator.explaining.facts import facts
from generator.explaining.reading_commands import Typed, read_command, typed
from generator.explaining.reading_files import Files
from generator.explaining.reading_pip import PipRequest
from generator.explaining.reading_shell import running
from generator.explaining.reading_text import plain
from generator.explaining.reading_tools import RUNNER
from generator.explaining.request import Request, name_of

#: what conda tells people to update in its own messages
TOOLS = frozenset({"conda", "mamba", "micromamba", "pixi", "conda-libmamba-solver"})
_SET = re.compile(
    r"""^\s*(?:[^\n"'=;]{0,60}[$#>%] +)?(?:Environment="?"""
    r"""|(?=(?:[A-Za-z_]\w*+\s*+[?:]?=\s*+(?:"[^"]*"|'[^']*'|[^\s;]++)\s*+;?\s*+)++(?:#.*)?$)"""
    r"|(?:RUN\s+)?(?:export|set|setx|declare -x|local|readonly)\s+(?:-\w+\s+)?|(?:ENV|ARG)\s+"
    r"|(?:\[\w+\])?\$(?:env:)?(?=\w+\s*=))(?P<rest>.+)$"
)
_PAIR = re.compile(r"""(?P<name>\w+)(?:\s*[?:]?=\s*|\s+)(?P<value>"[^"]*"|'[^']*'|[^\s;]+)""")
_COPY = re.compile(r"^\s*(?:COPY|ADD)\s+(?:--\S+\s+)*(?P<paths>\S.*)$", re.IGNORECASE)
_FROM = re.compile(
    r"^\s*FROM:?\s+(?:--platform=(?P<platform>\S+)\s+)?(?P<image>\S+)(?:\s+AS\s+(?P<name>\S+))?",
    re.IGNORECASE,
)
_WORKDIR = re.compile(r"^\s*WORKDIR\s+(?P<folder>\S+)", re.IGNORECASE)
_ACTIVATE = re.compile(
    r"(?:^\$ \w+ run (?=.* \S*sh -\w*c$)(?:--\S+ )*-n "
    r"|(?:\b(?:conda|mamba|micromamba|call|source)|(?<!\S)\.)\s+(?:\S*[/\\])?activate(?:\.bat)?\s+[\"']?)(?P<name>[\w./~${}-]+)"
)
#: what configures which channels the client asks (conda docs, "Managing channels")
_CONFIG = re.compile(
    r"\b(?:conda|mamba|micromamba) config\s(?:.*\s)?--?(?P<how>add|append|prepend|set|remove)\s+"
    r"(?P<key>channels|channel_priority)\s+(?P<value>[^\s;&|]+)"
)
#: and for which subdir (conda docs, "Managing environments")
_SUBDIR = re.compile(
    r"\bconda (?:config .*?--set\s+subdir\s+|env config vars set .*?CONDA_SUBDIR=)"
    r"(?P<subdir>[\w-]+)"
)
#: pixi solves for the driver of the workspace alone (pixi docs, "System Requirements")
_DRIVER = re.compile(r"\bpixi \w+ system-requirements add cuda (?P<cuda>[\d.]+)")
#: an input of actions that set conda up; and a line that does nothing: a script's comment
_FILE_OF_ACTION = re.compile(r"^\s*environment-file:\s*(?P<file>\S+)")
_SPAN = re.compile(r"</?(?:code|pre|kbd|tt)\b[^>]*>")
_COMMENT = re.compile(r"^\s*(?:#|//|::|REM\b)", re.IGNORECASE)
#: a file that a script writes: `cat > env.yml <<EOF`, `cat <<EOF > env.yml`, `COPY <<EOF env.yml`
_HEREDOC = re.compile(
    r"^[^\n]*?\b(?:cat|tee|COPY)\b(?:[^\n<]*?[ \t]>{0,2}[ \t]*(?P<to>[\w./~-]+))?"
    r"[ \t]*<<-?[ \t]*[\"']?(?P<mark>\w+)[\"']?"
    r"[ \t]*>{0,2}[ \t]*(?P<into>[\w./~-]*)[^\n]*\n(?P<body>.*?)\n\s*(?P=mark)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
#: a script that a line runs: `bash x.sh`, `source ./x.sh`, `RUN /x.sh`
_RUNS = re.compile(
    r"(?:^(?:.*[;&|$(])?|\bRUN)\s*(?:(?:\S*/)?(?:sudo|time|exec|(?:ba|da|z|k)?sh|source|\.)"
    r"(?:\s+-\S+)*\s+)*[\"']?(?P<file>[\w./~-]+\.(?:sh|bash))\b"
)
_SECTION = re.compile(r"^%(?P<name>\w+)")


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
    for match in _HEREDOC.finditer(text):
        state.write(match["to"] or match["into"], textwrap.dedent(match["body"]))
    text = _HEREDOC.sub("", text)
    for written in running(text.splitlines(), subdir):
        if _COMMENT.match(written):
            continue
        fenced = fenced is not written.lstrip().startswith(("```", "~~~"))
        line = state.take(_SPAN.sub("`", written))
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
        self._variables = dict(files.variables)
        self._image = self._platform = self._section = ""
        self._active: tuple[str, ...] = ()
        self._channels: list[str] = []
        self._removed: set[str] = set()
        self._strict, self._ran = False, set[str]()
        self._subdirs: dict[tuple[str, ...], str] = {}
        #: the number of the stage that a line is in, and that of each by its name
        self._stage, self._stages, self._number = 0, dict[str, int](), itertools.count(1)

    def write(self, name: str, content: str) -> None:
        """Note what a text writes into a file."""
        self._files.made[name] = content

    def script(self, line: str) -> str:
        """Return the text of a script that a line runs, each once; "" for none that is here."""
        found = _RUNS.search(line)
        if found is None or found["file"] in self._ran:
            return ""
        self._ran.add(found["file"])
        try:
            return plain(self._files.content(found["file"]))
        except ArmtorchError:
            return ""

    def take(self, line: str) -> str:
        """Note what a line sets, and return it with the variables that are known."""
        if match := _FILE_OF_ACTION.match(line):
            return f"conda env create -f {match['file']}"
        line = self._files.expanded(line)
        if match := _SECTION.match(line):
            self._section = match["name"]
        elif self._section == "files" and len(parts := line.split()) == 2:
            self._files.copied[parts[1]] = parts[0]
        if match := _FROM.match(line):
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
        elif match := _COPY.match(line):
            _copy(match["paths"], self._files)
            if source := re.search(r"--from=(\S+)", line):
                self._stage = self._stages.get(source[1], self._stage)
        elif match := _WORKDIR.match(line):
            self._files = replace(self._files, inside=match["folder"])
        elif match := _SET.match(line):
            for pair in _PAIR.finditer(match["rest"]):
                self._variables[pair["name"]] = pair["value"].strip("\"'")
            self._files = replace(self._files, variables=dict(self._variables))
        self._configure(line)
        return line

    def _configure(self, line: str) -> None:
        """Note the channels and the environment that a line chooses."""
        for match in _CONFIG.finditer(line):
            if match["key"] == "channel_priority":
                self._strict = match["value"] == "strict"
            elif match["how"] == "remove":
                self._removed.add(match["value"])
            else:
                place = len(self._channels) if match["how"] == "append" else 0
                self._channels.insert(place, match["value"])
        if driver := _DRIVER.search(line):
            self._variables["CONDA_OVERRIDE_CUDA"] = driver["cuda"]
        if configured := _SUBDIR.search(line):
            # an environment's own, or that of all
            own = "--env" in line or "vars" in line
            self._subdirs[self._active if own else ()] = configured["subdir"]
        if active := _ACTIVATE.search(line):
            name = active["name"]
            self._active = ("-p" if name[0] in "~." or "/" in name else "-n", name)

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
                step = self._configured(step)  # noqa: PLW2901
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
        strict = request.strict or self._strict
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
