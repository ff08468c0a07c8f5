"""A client's command as a request: found behind prompts, sudo and chains; its options and files."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from generator.explaining.computer import overrides
from generator.explaining.facts import Client, facts, pattern
from generator.explaining.reading_files import Files
from generator.explaining.reading_manifests import read_lock, with_environment
from generator.explaining.reading_pip import PipRequest, read_pip
from generator.explaining.reading_text import refusal
from generator.explaining.request import LOOSE, Request, spec_of

#: conda's name for it where no file is given
_ENVIRONMENT = "environment.yml"
#: options that say where, as they are written
_PLACES = {"name": "-n", "prefix": "-p"}


def read_command(typed: Typed, *, files: Files) -> list[Request | PipRequest]:
    """Read a command, and the files that it names; pip's part of it comes second.

    One that asks for no package, as ``conda create -n x``, is no install. Raises SelectionError
    and, for an environment file's address, UnreachableError.
    """
    if typed.client == "pip":
        return _of_pip(typed, files)
    said = _said(typed, files)
    if "pypi" in said:
        indexes = [part for url in said["index"] for part in ("--index-url", url)]
        wheels = read_pip([*said["spec"], *indexes], tool="pixi add --pypi", files=files)
        return [wheels] if wheels is not None else []
    default = facts().clients[typed.client]
    if typed.verb.startswith("env"):
        said["file"] += [word for word in said["spec"] if word.endswith((".yml", ".yaml"))]
        said["spec"] = [word for word in said["spec"] if word not in said["file"]]
        said["file"] = said["file"] or [_ENVIRONMENT]
    # the variable stands for the client's own channels (conda docs, "Settings")
    own = typed.variables.get("CONDA_CHANNELS", "")
    channels = [part for value in (*said["channel"], own) for part in value.split(",") if part]
    # pixi asks what is typed alone, or else its own (pixi docs, "pixi global install")
    alone = typed.verb.startswith("global") and channels
    if ranking := typed.variables.get("CONDA_CHANNEL_PRIORITY"):
        said["strict" if ranking == "strict" else "flexible"].append(LOOSE)
    loose = said["flexible"][-1] if "flexible" in said else ""
    subdir = ("", *said["subdir"])[-1] or typed.variables.get("CONDA_SUBDIR")
    request = Request(
        client=typed.client,
        verb=typed.verb
        if typed.client == "pixi"
        else re.sub("up(date|grade)$", "install", typed.verb),
        specs=tuple(dict.fromkeys(spec_of(word) for word in said["spec"])),
        channels=tuple(name for name in dict.fromkeys(channels) if name != "nodefaults"),
        defaults=() if "override" in said or own or alone else default.default_channels,
        override="override" in said or bool(own),
        shuts_out="nodefaults" in channels,
        strict=(default.strict or "strict" in said) and not loose,
        loose=loose,
        subdir=None if said["subdir"][1:] else subdir,
        typed_subdir=bool(subdir),
        platforms=tuple(dict.fromkeys(said["subdir"])) if said["subdir"][1:] else (),
        target=(*(tuple(said["target"]) or typed.target), *said["kept"]),
        overrides=overrides(typed.variables),
        unset=tuple(said["unset"]),
    )
    pip = None
    for name in said["file"]:
        request, more = _with_file(request, name, typed.verb, files, locks="locks" in said)
        pip = more or pip
    steps: list[Request | PipRequest] = [request] if request.specs else []
    if pip is not None:
        steps.append(replace(pip, target=request.target, subdir=request.subdir))
    return steps


def _of_pip(typed: Typed, files: Files) -> list[Request | PipRequest]:
    wheels = read_pip(typed.words, tool=typed.tool, files=files)
    if wheels is None:
        return []
    index = wheels.index or typed.variables.get("PIP_INDEX_URL", "")
    extra = (*wheels.extra, *typed.variables.get("PIP_EXTRA_INDEX_URL", "").split())
    return [
        replace(
            wheels,
            target=typed.target,
            index=index,
            extra=extra,
            python=typed.python or wheels.python,
        )
    ]


def _with_file(
    request: Request, name: str, verb: str, files: Files, *, locks: bool
) -> tuple[Request, PipRequest | None]:
    content = files.content(name)
    suffix = name.rpartition(".")[2]
    if (lock := read_lock(content, request)) is not None:
        return lock, None
    if suffix in {"yml", "yaml"} or verb.startswith("env"):
        found, pip = with_environment(request, content, name, files)
        if not locks:
            return found, pip
        rows = pattern("selected").findall(content)
        return replace(found, selected=tuple((spec_of(row), mark) for row, mark in rows)), pip
    return replace(request, specs=(*request.specs, *specs_of(content))), None


def specs_of(content: str) -> tuple[str, ...]:
    """Read a file of specs, one a line, as ``conda list --export`` writes it, too."""
    lines = (each.split("#")[0].strip() for each in content.splitlines())
    return tuple(spec_of(each) for each in lines if each and not each.startswith("@"))


def _said(typed: Typed, files: Files) -> dict[str, list[str]]:
    """Return what the words of a command say, by kind; a flag's kind is what it means."""
    known, found = facts(), defaultdict[str, list[str]](list)
    rest = [files.expanded(word) for word in typed.words]
    client = next(each for each in known.clients if each == typed.client)
    meanings = known.options | known.options_of.get(client, {})
    while rest:
        word = rest.pop(0)
        option, joined, value = word.partition("=")
        if not word.startswith("-"):
            if re.search(r"\$|\{\w+\}|%\w+%", word):
                named = re.match(r"(?:[\w.-]+::)?[\w.-]+(?=[=<>!~])", word)
                if named is None:
                    raise refusal(f"{word} is a variable that nothing here sets", typed.line)
                found["unset"].append(word)
                word = named[0]
            found["spec"].append(word)
            continue
        if option in known.flags:
            found[known.flags[option]].append(option)
            continue
        if not word.startswith("--") and len(word) > 2:
            option, joined, value = _bundle(word, meanings)  # -cpytorch, -yp /x
        if (meaning := meanings.get(option)) is None:
            continue  # -y, --quiet: no part of what is asked
        if not joined:
            if not rest:
                raise refusal(f"{option} takes a value", typed.line)
            value = rest.pop(0)
        if meaning in _PLACES:
            found["target"] = [_PLACES[meaning], value]
        else:
            kind = {"priority": "strict" if value == "strict" else "flexible"}.get(meaning, meaning)
            value = f"{option} {value}" if meaning == "priority" else value
            found[kind] += [option, value] if meaning == "kept" else [value]
    return found


def _bundle(word: str, meanings: Mapping[str, str]) -> tuple[str, str, str]:
    """Take short options in one word apart: the one with a value, and what is joined to it."""
    if f"-{word.partition('=')[0]}" in meanings:
        raise refusal(f"{word} is read as {word[:2]} {word[2:]}: write -{word}", word)
    for place, letter in enumerate(word[1:], start=2):
        if f"-{letter}" in meanings:
            value = word[place:].removeprefix("=")
            return f"-{letter}", "=" if value else "", value
    return word, "", ""


#: verbs that ask for packages; the longest first
VERBS = (
    "env create", "env update", "global install", "global add", "tool install",
    "install", "create", "add", "update", "upgrade",
)  # fmt: skip
_OPERATORS = ";&|"
_FIRST = {verb.split()[0] for verb in VERBS}
#: characters behind a client's name in which its verb stands
_NEAR = 300
#: verbs of pip, uv, poetry and pdm
_PIPS = {"install", "add", "tool install"}


#: letters of a line that are read, and those before a command that are looked at for a prompt:
#: matching takes the square of them
_LONGEST, _BEFORE = 10_000, 400


@dataclass(frozen=True, kw_only=True)
class Typed:
    """One command of a client, as words."""

    client: Client | Literal["pip"]
    verb: str
    #: what stands before and behind the verb
    words: tuple[str, ...]
    #: variables that are set for it: CONDA_SUBDIR, CONDA_OVERRIDE_CUDA ...
    variables: dict[str, str]
    line: str
    #: the environment that ``conda run -n NAME`` names before it
    target: tuple[str, ...] = ()
    #: as what pip's requests are written
    tool: str = "pip install"
    #: the Python whose pip is called, ``python3.12 -m pip``; "" for one that is not said
    python: str = ""


def typed(line: str, *, anywhere: bool, code: bool = False) -> Iterator[Typed]:
    """Find the commands of clients in one line that ask for packages.

    ``anywhere`` is also behind words that are no prompt, for a line that somebody gives on purpose,
    ``code`` behind other commands and quotes, for one of a script. Raises SelectionError.
    """
    end: int | None = None
    line = line[:_LONGEST]
    for match in pattern("commands").finditer(line):
        before = line[: match.start()]
        if end is not None and not set(f"{_OPERATORS}`") & set(line[end : match.start()]):
            continue  # a word of the command before
        prompt = _is_code(before) if code else pattern("prompts").fullmatch(before[-_BEFORE:])
        rest = line[match.end() :]
        # nor does a sentence go on with &&
        if not (anywhere or prompt or "&&" in rest.split("`")[0]):
            continue
        if pattern("shown").search(before) or not _FIRST & set(rest[:_NEAR].split()):
            continue  # what a tool says that it would do; `conda activate`, or no command at all
        words = _words(_within(before, rest, quoted=bool(match["quote"])), line)
        if (found := _verb(words)) is None or (match["pip"] and found[0] not in _PIPS):
            continue
        verb, others = found
        end = match.end()
        run = pattern("run").search(before)
        variables = {
            m["name"]: m["value"].strip("\"'") for m in pattern("variables").finditer(before)
        }
        yield Typed(
            client=_client(match),
            verb=verb,
            words=tuple(others),
            variables=variables,
            line=line,
            target=(f"-{run['kind']}", run["name"]) if run else (),
            tool=_tool(match["pip"], verb),
            python="".join(re.findall(r"(?:n|pip|-)(3\.\d+)\b", match["pip"] or "")[:1]),
        )


def _tool(called: str | None, verb: str) -> str:
    """Return as what a request of pip's is written; a tool of uv's has one package of its own."""
    verb = verb.removeprefix("tool ")
    called = "uv pip" if called == "uv" and verb == "install" else called
    return f"{called} {verb}" if called in {"uv", "uv pip"} else "pip install"


def _is_code(before: str) -> bool:
    """Whether what stands before a command is no comment, and no sentence in quotes."""
    if re.search(r"(?:^|\s)#\s", before):
        return False
    inside = [before.rpartition(quote)[2] for quote in "\"'" if before.count(quote) % 2]
    return all(not text.strip() or set(_OPERATORS) & set(text) for text in inside)


def _within(before: str, rest: str, *, quoted: bool) -> str:
    """End a command where what it stands in ends: ``sh -c "conda install ..."``, a code span."""
    for opening, closing in ('""', "''", "``", "()"):
        is_open = (
            before.count(opening) % 2
            if opening == closing
            else before.count(opening) > before.count(closing)
        )
        if (is_open and not (quoted and opening in "\"'")) or before.endswith(opening):
            rest = rest.split(closing, maxsplit=1)[0]
    return rest


def _client(match: re.Match[str]) -> Client | Literal["pip"]:
    if match["pip"]:
        return "pip"
    if (word := match["client"]) is None:
        word = re.sub(r"\W|_EXE", "", match[0]) if "$" in match[0] else "conda"
    return next(client for client in facts().clients if client == word.lower())


def _words(rest: str, line: str) -> list[str]:
    """Take a command apart as a shell would, up to where the next one begins."""
    rest = re.sub(r"(?:\\[nt])+\s*$", "", rest)  # the end of a line in a string of a program
    # `python=<version>`, `-n <name>`: what a reader is to put there, and no redirection
    rest = re.sub(r"==?<[^<>\s]+>(?=\s|$)", "=$VERSION", rest)
    rest = pattern("placeholder").sub(lambda m: m[1] + re.sub(r"\W", "-", m[2]), rest)
    if re.search(r"\b[A-Za-z]:\\|(?<!\S)\.{1,2}\\(?=[\w.])", rest):
        rest = rest.replace("\\", "\\\\")  # a path of Windows, not an escape
    lexer = shlex.shlex(rest, posix=True, punctuation_chars=_OPERATORS)
    lexer.whitespace_split, lexer.commenters = True, ""
    found: list[str] = []
    try:
        for word in lexer:
            if (word and word[0] in f"{_OPERATORS}#}}(") or pattern("redirected").match(word):
                break
            half = found and re.search(r"(?:[<>=!~]=|[<>])$", found[-1])
            if found and (half or re.match(r"[<>=!~]=?(?:[\d.*]|$)", word)):
                # shells take `pytorch >=2` for something else; it is clear what was meant
                found[-1] += word
                continue
            found.append(word)
    except ValueError as error:
        raise refusal(f"a quote is not closed: {error}", line) from error
    return found


def _verb(words: list[str]) -> tuple[str, list[str]] | None:
    """Return the verb and all other words; options may stand before it (``conda -v install``)."""
    head = 0
    while head < len(words) and words[head].startswith("-"):
        head += 2 if facts().options.get(words[head]) else 1
    for verb in VERBS:
        parts = verb.split()
        if words[head : head + len(parts)] == parts:
            return verb, [*words[:head], *words[head + len(parts) :]]
    return None
