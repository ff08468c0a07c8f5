"""A client's command as a request: its options, its files, its packages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from generator.documents import limits, load_yaml, read_text
from generator.errors import SelectionError
from generator.explaining.computer import overrides
from generator.explaining.facts import facts
from generator.explaining.request import Request, name_of, parsed
from generator.explaining.shell import EXAMPLE, Typed

#: what a package file ends with (CEP 26)
_PACKAGES = (".conda", ".tar.bz2")
#: conda's name for it where no file is given
_ENVIRONMENT = "environment.yml"


@dataclass
class _Words:
    """What the options of a command line said."""

    specs: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    target: tuple[str, ...] = ()
    files: list[str] = field(default_factory=list)
    subdir: str | None = None
    flags: set[str] = field(default_factory=set)


def read_command(typed: Typed, *, folder: Path) -> Request:
    """Read a command; files are relative to ``folder``. Raises SelectionError."""
    found = _options(typed)
    default = facts().clients[typed.client]
    if typed.verb.startswith("env") and not found.files:
        found.files.append(_ENVIRONMENT)
    request = Request(
        client=typed.client,
        verb=typed.verb
        if typed.client == "pixi"
        else re.sub("up(date|grade)$", "install", typed.verb),
        specs=tuple(dict.fromkeys(spec_of(word) for word in found.specs)),
        channels=tuple(dict.fromkeys(found.channels)),
        defaults=() if "override" in found.flags else default.default_channels,
        override="override" in found.flags,
        strict=(default.strict or "strict" in found.flags) and "flexible" not in found.flags,
        subdir=found.subdir or typed.variables.get("CONDA_SUBDIR"),
        target=found.target,
        overrides=overrides(typed.variables),
        notes=("what --pypi asks is not looked at: this is about channels",)
        if "pypi" in found.flags
        else (),
    )
    for name in found.files:
        path = folder / name
        if path.suffix in {".yml", ".yaml"} or typed.verb.startswith("env"):
            request = _with_environment(request, content_of(path), str(path))
        else:
            lines = (each.split("#")[0].strip() for each in content_of(path).splitlines())
            specs = tuple(spec_of(each) for each in lines if each and not each.startswith("@"))
            request = replace(request, specs=(*request.specs, *specs))
    if not request.specs:
        raise SelectionError("no package is asked for", where=typed.line, next_step=EXAMPLE)
    return request


def _options(typed: Typed) -> _Words:
    known, found, rest = facts(), _Words(), list(typed.words)
    meanings = known.options | known.options_of.get(typed.client, {})
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            found.specs.append(word)
            continue
        option, joined, value = word.partition("=")
        if option in known.flags:
            found.flags.add(known.flags[option])
            continue
        if not word.startswith("--") and len(word) > 2:
            option, joined, value = _bundle(word, meanings)  # -cpytorch, -yp /x
        if (meaning := meanings.get(option)) is None:
            continue  # -y, --quiet: no part of what is asked
        if not joined:
            if not rest:
                raise SelectionError(f"{option} takes a value", where=typed.line, next_step=EXAMPLE)
            value = rest.pop(0)
        _note(found, option, meaning, value)
    return found


def _bundle(word: str, meanings: Mapping[str, str]) -> tuple[str, str, str]:
    """Take short options in one word apart: the one with a value, and what is joined to it."""
    for place, letter in enumerate(word[1:], start=2):
        if f"-{letter}" in meanings:
            value = word[place:].removeprefix("=")
            return f"-{letter}", "=" if value else "", value
    return word, "", ""


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
        raise SelectionError("it asks for no conda package", where=where, next_step=EXAMPLE)
    return replace(found, target=found.target or ("-n", "torch"))


def _with_environment(request: Request, content: str, where: str) -> Request:
    document = load_yaml(content, where, refuse=SelectionError, next_step=EXAMPLE)
    rows = document.get("dependencies") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise SelectionError(
            "no environment.yml: it has no list of `dependencies`", where=where, next_step=EXAMPLE
        )
    specs = [spec_of(row) for row in rows if isinstance(row, str)]
    channels = _texts(document, "channels")
    override = "nodefaults" in channels
    notes = ["what the file gives to pip is not looked at"] if len(specs) < len(rows) else []
    target = request.target
    if not target and document.get("name"):
        target = ("-n", str(document["name"]))
    platforms = _texts(document, "platforms")
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
        subdir=request.subdir or next(iter(platforms), None),
        origin="file",
        notes=(*request.notes, *notes),
    )


def _texts(document: Mapping[str, object], key: str) -> list[str]:
    """Return a list of a document as texts; [] where it has none of that name."""
    found = document.get(key)
    return [str(each) for each in found] if isinstance(found, list) else []


def spec_of(word: str) -> str:
    """Check one spec and write it without spaces where that means the same.

    Raises:
        SelectionError: it is none, or a package's file.

    """
    text = re.sub(r"\s*([<>=!~|,])\s*", r"\1", word.strip())
    if text.startswith("-"):
        raise SelectionError("not a package, an option", where=word, next_step=EXAMPLE)
    if text.endswith(_PACKAGES):
        name, *_ = text.rsplit("/", 1)[-1].rsplit("-", 2)
        raise SelectionError(
            "a package's file, which no channel is asked for",
            where=word,
            next_step=f"name the package instead: {name}",
        )
    parsed(text)
    name_of(text)
    return text


def content_of(path: Path) -> str:
    """Return a file's text; raises SelectionError."""
    try:
        return read_text(path, limits().yaml.bytes)
    except OSError as error:
        raise SelectionError(
            f"cannot be read: {error.strerror}",
            where=str(path),
            next_step="run it in the folder of the file",
        ) from error
    except UnicodeDecodeError as error:
        raise SelectionError(f"no text: {error}", where=str(path), next_step=EXAMPLE) from error
