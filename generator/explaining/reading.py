"""Reads what a person has: a command, a file of some tool, or another tool's message."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from generator.documents import limits, load_yaml, read_bytes
from generator.errors import SelectionError
from generator.explaining.facts import facts, pattern
from generator.explaining.reading_commands import read_command, specs_of, typed
from generator.explaining.reading_files import Files
from generator.explaining.reading_manifests import read_lock, read_manifest, with_environment
from generator.explaining.reading_messages import is_message, read_message
from generator.explaining.reading_pip import PipRequest, read_requirements
from generator.explaining.reading_scripts import Step, Unread, read_script
from generator.explaining.reading_text import (
    commands_of,
    decoded,
    no_conda,
    plain,
    refusal,
    unfolded,
)
from generator.explaining.request import Request

_FILES = {".yml", ".yaml", ".txt", ".log", ".toml", ".lock", ".def", ".sh", ".json", ".ipynb"}
#: files of sentences, and of other languages' code, in which messages are
_SENTENCES = {".md", ".rst", ".txt", ".log", ".html", ".adoc", ".ipynb", ".py", ".R", ".tex"}
#: keys of environments, notebooks, messages and recipes
_OTHERS = {"dependencies", "cells", "solver_problems", "exception_name", "requirements"}


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Where relative paths begin, and what is known of the person's variables and machine."""

    folder: Path
    variables: Mapping[str, str]
    #: what manifests are read for
    subdir: str

    def read(self, text: str) -> tuple[Step, ...]:
        """Read a command, the path of a file, or a pasted text: every install in it, in order.

        Raises SelectionError and, for an environment file's address, UnreachableError.
        """
        stripped = plain(text).strip()
        if not stripped:
            raise refusal("nothing to explain", "the command")
        files = Files(folder=self.folder, here=self.folder, variables=self.variables)
        if "\n" not in stripped:
            if re.fullmatch(r"https?://\S+\.ya?ml", stripped):
                return tuple(self._file(stripped, files.content(stripped), files))
            if (path := _path(stripped, self.folder)) is not None:
                around = replace(files, folder=path.parent)
                return tuple(self._file(str(path), decoded(_content(path)), around))
            found = list(typed(stripped, anywhere=True))
            if found and not is_message(stripped):
                steps = [each for line in found for each in read_command(line, files=files)]
                if not steps:
                    raise refusal("no package is asked for", stripped)
                return tuple(steps)
            if stripped.lstrip("$ ").split()[0] in facts().clients and " " in stripped:
                clients = "conda, mamba, micromamba or pixi"
                raise refusal(f"not a command that installs packages with {clients}", stripped)
            if re.split(r"[\s=<>!~]", stripped)[0] in {*facts().core, *facts().renames}:
                (line,) = typed(f"conda install {stripped}", anywhere=True)
                return tuple(read_command(line, files=files))
        return tuple(self._text(stripped, replace(files, closed=True)))

    def _file(self, where: str, content: str, files: Files) -> list[Step]:
        name, suffix = Path(where).name.lower(), Path(where).suffix
        request = _created("pixi" if "pixi" in name else "conda")
        if suffix == ".toml":
            return list(read_manifest(content, where=where, subdir=self.subdir))
        if (lock := read_lock(content, request)) is not None:
            return [lock]
        if suffix in {".yml", ".yaml", ".json"} and (text := _of_a_tool(content, where)):
            return self._text(plain(text), files, code=True)
        if suffix in {".yml", ".yaml"}:
            found, pip = with_environment(request, content, where, files)
            steps: list[Step] = [found] if found.specs else []
            if pip is not None:
                steps.append(replace(pip, target=found.target))
            if not steps:
                raise refusal("it asks for no conda package", where)
            return [_named(each) for each in steps]
        return self._other(Path(where), plain(content).strip(), request, files)

    def _other(self, path: Path, text: str, request: Request, files: Files) -> list[Step]:
        if path.suffix == ".txt" and re.search(r"(?m)^# This file may be used to create", text):
            return [_named(replace(request, specs=specs_of(text), origin="file"))]
        named = "require" in f"{path.parent.name}/{path.name}".lower()
        if named and path.suffix in {".txt", ".in", ".pip"} and not is_message(text):
            pip = read_requirements(text, tool="pip install", files=files)
            return [pip] if pip is not None else [Unread(line=text[:80], why=no_conda(text))]
        # a saved message speaks of files of the machine it is from
        closed = is_message(text) or path.suffix in {".txt", ".log"}
        code = path.suffix not in _SENTENCES
        return self._text(text, replace(files, closed=closed), code=code)

    def _text(self, text: str, files: Files, *, code: bool = False) -> list[Step]:
        text = unfolded(text)
        quoted = [*filter(_environment, map(textwrap.dedent, pattern("fenced").findall(text)))]
        files = replace(files, quoted=quoted[0] if len(quoted) == 1 else "")
        if is_message(text):
            return self._pasted(text, files) or list(read_message(text, files=files))
        steps = list(
            read_script(text, files, code=code or text.startswith("#!"), subdir=self.subdir)
        )
        refused = [step for step in steps if isinstance(step, Unread)]
        if len(refused) < len(steps):
            return steps
        if pasted := self._pasted(text, files):
            return pasted
        if refused:
            raise refused[0].why
        return list(read_message(text, files=files))

    def _pasted(self, text: str, files: Files) -> list[Step]:
        """Read a file that somebody pasted, as it is or between fences; [] for none."""
        for part in map(textwrap.dedent, pattern("fenced").findall(text) or [text]):
            if _environment(part):
                part = pattern("document").findall(part)[0]  # noqa: PLW2901
                return self._file("environment.yml", part, files)
            if re.search(r"(?m)^\[(?:workspace|project|dependencies|tool\.[\w.-]+)\]", part):
                return self._file("pixi.toml", part, files)
            lines = [each for each in part.splitlines() if each.strip() and each[0] != "#"]
            if (
                lines
                and not is_message(part)
                and all(
                    re.match(r"--?[\w-]+[ =]\S+$|[\w.\[\]-]+ ?[=<>~!]=", each) for each in lines
                )
            ):
                return self._other(Path("requirements.txt"), part, _created("conda"), files)
        rows = pattern("bullets").findall(text)
        if {re.split("[=<>]", row)[0] for row in rows} & {*facts().core} and not is_message(text):
            return self._file("environment.yml", "\n- ".join(["dependencies:", *rows]), files)
        return []


def _environment(text: str) -> bool:
    """Whether a text is an environment file."""
    return re.search(r"(?m)^dependencies:\s*$", text) is not None and not is_message(text)


def _of_a_tool(content: str, where: str) -> str:
    """Return the texts of a workflow, a playbook or the like; "" for an environment or none."""
    try:
        document = load_yaml(re.sub(r"(?m)^\s*//.*$", "", content), where, refuse=SelectionError)
    except SelectionError:
        return content if where.endswith(".json") else ""
    known = isinstance(document, dict) and _OTHERS & document.keys()
    text = "" if known else commands_of(document)
    return text if pattern("commands").search(text) else ""


def read_request(text: str, *, folder: Path) -> Request:
    """Return what was asked of conda last in a text; raises SelectionError."""
    steps = Reader(folder=folder, variables={}, subdir=facts().subdirs[0]).read(text)
    found = [step for step in steps if isinstance(step, Request)]
    if not found:
        raise no_conda(text)
    return found[-1]


def _created(client: str) -> Request:
    known = next(each for each in facts().clients if each == client)
    row = facts().clients[known]
    return Request(
        client=known,
        verb="create",
        specs=(),
        defaults=row.default_channels,
        strict=row.strict,
        origin="file",
    )


def _named(step: Step) -> Step:
    """Give a new environment a name where its file gives none."""
    if isinstance(step, Request | PipRequest):
        return replace(step, target=step.target or ("-n", "torch"))
    return step


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path, limits().yaml.bytes)
    except OSError as error:
        raise refusal(f"cannot be read: {error.strerror}", str(path)) from error


def _path(text: str, folder: Path) -> Path | None:
    """Return the file that a text names, if it is one; raises SelectionError."""
    try:
        path = folder / text
        if path.is_file():
            return path
    except (OSError, ValueError):
        return None  # longer than a name can be, or with a zero byte: a command or a message
    if path.suffix in _FILES and " " not in text:
        raise refusal("there is no such file", str(path))
    return None
