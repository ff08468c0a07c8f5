"""Reads what a person has: a command as typed, an environment.yml, or another tool's message."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from generator.errors import SelectionError
from generator.explaining.facts import Client, facts
from generator.explaining.request import Request, name_of, parsed

_EXAMPLE = 'for example: armtorch explain "conda install pytorch torchvision -c pytorch"'
_VERBS = ("env create", "env update", "global install", "global add", "install", "create", "add")


@dataclass
class _Words:
    """What the options of a command line said."""

    specs: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    target: tuple[str, ...] = ()
    files: list[str] = field(default_factory=list)
    subdir: str | None = None
    flags: set[str] = field(default_factory=set)


def read_request(text: str, *, folder: Path) -> Request:
    """Read a command, the path of an environment.yml or of a saved message, or a message itself.

    Paths are relative to ``folder``.

    Raises:
        SelectionError: nothing in it asks a conda client for a package.

    """
    stripped = text.strip()
    if not stripped:
        raise SelectionError("nothing to explain", where="the command", next_step=_EXAMPLE)
    if "\n" not in stripped and (path := _path(stripped, folder)) is not None:
        content = _content(path)
        if path.suffix in {".yml", ".yaml"}:
            return read_environment(content, where=str(path))
        stripped = content.strip()
    if "\n" in stripped:
        return read_pasted(stripped, folder=folder)
    # a message pasted as one line has no client as its first word
    command = re.match(facts().pasted.prompts, stripped)
    if command is None:
        return read_pasted(stripped, folder=folder)
    return read_command(command["command"], folder=folder)


def read_command(line: str, *, folder: Path) -> Request:
    """Read a command line of conda, mamba, micromamba or pixi; raises SelectionError."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise SelectionError(
            f"a quote is not closed: {error}", where=line, next_step=_EXAMPLE
        ) from error
    subdir = None
    while words and re.fullmatch(r"\w+=\S*", words[0]):
        variable, _, value = words.pop(0).partition("=")
        subdir = value if variable == "CONDA_SUBDIR" else subdir
    client, verb, rest = _verb(words, line)
    found = _options(rest, line)
    default = facts().clients[client]
    request = Request(
        client=client,
        verb=verb,
        specs=tuple(dict.fromkeys(_spec(word) for word in found.specs)),
        channels=tuple(dict.fromkeys(found.channels)),
        defaults=() if "override" in found.flags else default.default_channels,
        override="override" in found.flags,
        strict=(default.strict or "strict" in found.flags) and "flexible" not in found.flags,
        subdir=found.subdir or subdir,
        target=found.target,
    )
    for name in found.files:
        path = folder / name
        if path.suffix in {".yml", ".yaml"} or verb.startswith("env"):
            request = _with_environment(request, _content(path), str(path))
        else:
            lines = (each.split("#")[0].strip() for each in _content(path).splitlines())
            specs = tuple(_spec(each) for each in lines if each and not each.startswith("@"))
            request = replace(request, specs=(*request.specs, *specs))
    if not request.specs:
        raise SelectionError("no package is asked for", where=line, next_step=_EXAMPLE)
    return request


def read_environment(content: str, *, where: str) -> Request:
    """Read an environment.yml (conda's format); raises SelectionError."""
    request = Request(
        client="conda",
        verb="create",
        specs=(),
        defaults=facts().clients["conda"].default_channels,
        origin="file",
    )
    found = _with_environment(request, content, where)
    if not found.specs:
        raise SelectionError("it asks for no conda package", where=where, next_step=_EXAMPLE)
    return replace(found, target=found.target or ("-n", "torch"))


def read_pasted(text: str, *, folder: Path) -> Request:
    """Read another tool's message: the command above it if there is one, else what it names.

    Raises:
        SelectionError: neither a command nor a package is in it.

    """
    pasted = facts().pasted
    urls = [(m["url"], m["subdir"]) for m in re.finditer(pasted.channels, text)]
    subdir = next((name for _, name in urls if name != "noarch"), None)
    if (line := next(_commands(text), None)) is not None:
        request = read_command(line, folder=folder)
        return replace(request, subdir=request.subdir or subdir, origin="error")
    specs = [_spec(spec) for spec in _named(text)]
    if not specs:
        raise SelectionError(
            "neither a command of conda, mamba, micromamba or pixi nor a package that one of "
            "them did not find",
            where=text.splitlines()[0][:80],
            next_step=_EXAMPLE,
        )
    client: Client = next(
        (name for name, marks in pasted.clients.items() if any(mark in text for mark in marks)),
        "conda",
    )
    default = facts().clients[client]
    channels = tuple(dict.fromkeys(_short(url) for url, _ in urls))
    return Request(
        client=client,
        verb="add" if client == "pixi" else "install",
        specs=tuple(dict.fromkeys(specs)),
        channels=tuple(name for name in channels if name not in default.default_channels),
        defaults=default.default_channels if not channels else _known(channels, default),
        strict=default.strict,
        subdir=subdir,
        origin="error",
    )


def _known(channels: tuple[str, ...], default: Any) -> tuple[str, ...]:
    return tuple(name for name in channels if name in default.default_channels)


def _commands(text: str) -> Any:
    for line in text.splitlines():
        match = re.match(facts().pasted.prompts, line)
        if match and any(f" {verb} " in f" {match['command']} " for verb in _VERBS):
            yield match["command"]


def _named(text: str) -> list[str]:
    """Return the specs that a message says were not found."""
    pasted, found, listing = facts().pasted, [], False
    for line in text.splitlines():
        if any(mark in line for mark in pasted.lists):
            listing = True
        elif listing and (item := re.match(pasted.items, line)) and "://" not in line:
            found.append(item["spec"])
        elif line.strip() and listing and not line.lstrip().startswith("-"):
            listing = False
        for sentence in pasted.sentences:
            found += [match["spec"].rstrip(",;:.") for match in re.finditer(sentence, line)]
    # the sentences of one tool begin with words that are no package: "packages does not exist"
    return [spec for spec in dict.fromkeys(found) if spec[0].isalnum()]


def _verb(words: list[str], line: str) -> tuple[Client, str, list[str]]:
    client = next((name for name in get_args(Client) if words and words[0] == name), None)
    for verb in _VERBS:
        parts = verb.split()
        if client and words[1 : 1 + len(parts)] == parts:
            return client, verb, words[1 + len(parts) :]
    raise SelectionError(
        "not a command that installs packages with conda, mamba, micromamba or pixi",
        where=line,
        next_step=_EXAMPLE,
    )


def _options(words: list[str], line: str) -> _Words:
    known, found, rest = facts(), _Words(), list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            found.specs.append(word)
            continue
        option, joined, value = word.partition("=")
        if option in known.flags:
            found.flags.add(known.flags[option])
            continue
        if not word.startswith("--") and len(word) > 2 and word[:2] in known.options:
            option, joined, value = word[:2], "=", word[2:].removeprefix("=")  # -cpytorch
        if (meaning := known.options.get(option)) is None:
            continue  # -y, --quiet: no part of what is asked
        if not joined:
            if not rest:
                raise SelectionError(f"{option} takes a value", where=line, next_step=_EXAMPLE)
            value = rest.pop(0)
        _note(found, option, meaning, value)
    return found


def _note(found: _Words, option: str, meaning: str, value: str) -> None:
    if meaning == "channel":
        found.channels += [part for part in value.split(",") if part]
    elif meaning in {"name", "prefix"}:
        found.target = ("-n" if meaning == "name" else "-p", value)
    elif meaning == "file":
        found.files.append(value)
    elif meaning == "subdir":
        found.subdir = value
    elif meaning == "priority":
        found.flags.add("strict" if value == "strict" else "flexible")
    elif option == "--default-channel":
        found.channels.append(value)


def _with_environment(request: Request, content: str, where: str) -> Request:
    try:
        document = YAML(typ="safe").load(content)
    except YAMLError as error:
        raise SelectionError(f"not YAML: {error}", where=where, next_step=_EXAMPLE) from error
    rows = document.get("dependencies") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise SelectionError(
            "no environment.yml: it has no list of `dependencies`", where=where, next_step=_EXAMPLE
        )
    specs = [_spec(row) for row in rows if isinstance(row, str)]
    channels = [str(name) for name in document.get("channels") or ()]
    override = "nodefaults" in channels
    notes = ["what the file gives to pip is not looked at"] if len(specs) < len(rows) else []
    target = request.target
    if not target and document.get("name"):
        target = ("-n", str(document["name"]))
    platforms = document.get("platforms") or [request.subdir]
    return replace(
        request,
        verb=request.verb.removeprefix("env ").replace("update", "install"),
        specs=tuple(dict.fromkeys((*request.specs, *specs))),
        channels=tuple(
            dict.fromkeys((*request.channels, *(name for name in channels if name != "nodefaults")))
        ),
        defaults=() if override else request.defaults,
        override=override or request.override,
        target=target,
        subdir=request.subdir or platforms[0],
        origin="file",
        notes=(*request.notes, *notes),
    )


def _spec(word: str) -> str:
    """Check one spec and write it without spaces where that means the same."""
    text = re.sub(r"\s*([<>=!~|,])\s*", r"\1", word.strip())
    parsed(text)
    name_of(text)
    return text


def _short(url: str) -> str:
    """Return the name of a channel on conda's own host, which people know it by."""
    return url.removeprefix("https://conda.anaconda.org/")


def _path(text: str, folder: Path) -> Path | None:
    if len(text) > 1000 or "\0" in text:
        return None
    path = folder / text
    return path if path.is_file() else None


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SelectionError(
            f"cannot be read: {error}", where=str(path), next_step=_EXAMPLE
        ) from error
