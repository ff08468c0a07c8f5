"""Another tool's message: what was asked for, of which channels, on which machine."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from generator.datafiles import subdirs
from generator.errors import ArmtorchError, SelectionError
from generator.explaining.facts import Client, JetPack, facts, jetpacks, pattern
from generator.explaining.reading_commands import read_command, typed
from generator.explaining.reading_files import Files
from generator.explaining.reading_manifests import exported_on
from generator.explaining.reading_pip import PipRequest, read_pip
from generator.explaining.reading_scripts import TOOLS
from generator.explaining.reading_text import channel_name, no_conda
from generator.explaining.request import Request, name_of, spec_of

#: files that a command read
_FILES = r"(?:conda|mamba)\b.*? (?:-f|--file)[ =](\S+\.(?:ya?ml|txt))"
#: channels that a client asks on its own: nobody typed those
_OWN = ("conda-forge", "defaults")


def is_message(text: str) -> bool:
    """Whether a text is what a tool said when it failed."""
    return pattern("failures").search(text) is not None


def read_message(text: str, *, files: Files) -> list[Request | PipRequest]:
    """Read the last command in a message, else what it names; raises SelectionError for neither."""
    whole = text
    above, text = _last_failure(text)
    if pip := _of_pip(text):
        return [replace(pip, subdir=pip.subdir or _subdir(whole))]
    missing = [] if files.quoted else re.findall(_FILES, text)[-1:]
    try:
        request = _asked(above, text, files, missing)
    except SelectionError:
        if not (asked := [*_pip_commands(text)]):
            raise
        place = asked[-1].subdir or _subdir(text) or _subdir(whole)
        return [replace(asked[-1], subdir=place, notes=tuple(_hints(text)))]
    if request.verb != "create" and "python" not in map(name_of, request.specs):
        pythons = pattern("pythons").findall(text)
        told = tuple(f"python={python}" for python in pythons[:1])
        request = replace(request, beside=told or request.beside)
    denied = tuple((name, facts().pasted.terms) for name in _denied(text))
    if denied:
        own = tuple(dict.fromkeys((*request.defaults, *(name for name, _ in denied))))
        # the terms are those of the channels that a client asks on its own
        own = own if request.listed else tuple(name for name, _ in denied)
        request = replace(request, defaults=own, listed=True, denied=denied)
    alone = (
        f"the message names what was not found alone: armtorch explain {name} reads all of it"
        for name in missing
    )
    return [
        replace(
            request,
            strict=request.strict or pattern("strict").search(text) is not None,
            subdir=request.subdir or _subdir(text) or _subdir(whole),
            origin="error",
            document=None if missing else request.document,
            exported=exported_on(request.specs, message=True) if missing else request.exported,
            notes=(*alone, *request.notes, *_hints(whole)),
        )
    ]


def _last_failure(text: str) -> tuple[str, str]:
    """Return the last command with the message below it, and what is above: a text may have more.

    A message with no command above it is told apart from none.
    """
    lines = text.splitlines()
    begins = [n for n, line in enumerate(lines) if any(typed(line, anywhere=False))]
    for begin, end in reversed([*itertools.pairwise([*begins, len(lines)])]):
        part = "\n".join(lines[begin:end])
        if is_message("\n".join(lines[begin + 1 : end])):
            return "\n".join(lines[:begin]), part
    return "", text


def _asked(above: str, text: str, files: Files, missing: Sequence[str]) -> Request:
    """Return what was asked for, of the channels that the message names."""
    channels, named = _channels(text), _named(text)
    for name in missing if named else []:
        # a file that is not here was asked for: the message names what of it cannot be had
        rows = "".join(f"- {json.dumps(spec)}\n" for spec in named)
        made = "\n".join(named) if name.endswith(".txt") else f"dependencies:\n{rows}"
        files = replace(files, made={name: made})
    request = _command(f"{above}\n{text}", files)
    if request is None or missing:
        urls = [m["url"] for m in pattern("channels").finditer(text)]
        urls += [m["channel"] for m in pattern("tables").finditer(text)]
        channels = channels or tuple(dict.fromkeys(map(channel_name, urls)))
    if request is None:
        return _from_names(text, named, channels)
    if not channels or request.override:
        return request
    own = [name for name in channels if name not in request.channels]
    # those of a file are typed for who installs without it
    more = [name for name in own if missing and name not in _OWN]
    return replace(
        request,
        channels=(*request.channels, *more),
        defaults=tuple(name for name in own if name not in more),
        listed=True,
    )


def machine_told(text: str, own: str) -> tuple[str | None, tuple[str, ...], JetPack | None]:
    """Return the subdir, the virtual packages and the JetPack of the machine that a text is of."""
    pasted = facts().pasted
    subdir = next((name for words, name in pasted.outputs.items() if re.search(words, text)), None)
    spoken = _spoken(text)
    if subdir is None and "\n" in text and len(spoken) == 1 and own not in subdirs():
        subdir = spoken[0]  # who is at an ARM machine may read what is for others
    virtual = [pair for mark in pasted.virtual for pair in re.findall(mark, text)]
    board = pattern("jetson").search(text)
    release = (board["jetpack"] or "4") if board else ""  # the last one for boards of their name
    rows = (row for row in jetpacks() if board and f"{row.jetpack}.".startswith(f"{release}."))
    told = {name or "__cuda": version for name, version in virtual}
    return subdir, tuple(f"{name}={version}" for name, version in told.items()), next(rows, None)


def _hints(text: str) -> Iterator[str]:
    return (note for mark, note in facts().pasted.hints.items() if re.search(mark, text))


def _from_names(text: str, specs: tuple[str, ...], channels: tuple[str, ...]) -> Request:
    """Make a request of what a message names, as the client would be asked that said it."""
    if not specs:
        above = ["paste the command above the message, too"] if "\n" in text else []
        raise no_conda(text.splitlines()[0], *_hints(text), *above)
    client: Client = next(
        (name for name, marks in facts().pasted.clients.items() if any(m in text for m in marks)),
        "conda",
    )
    default = facts().clients[client]
    own = tuple(name for name in channels if name in _OWN)
    return Request(
        client=client,
        verb="add" if client == "pixi" else "install",
        specs=specs,
        channels=tuple(name for name in channels if name not in own),
        defaults=own if channels else default.default_channels,
        listed=bool(channels),
        strict=default.strict,
        exported=exported_on(specs, message=True),
    )


def _of_pip(text: str) -> PipRequest | None:
    """Read what pip, uv or poetry did not find, and what else the command above it asked for."""
    missed: dict[str, tuple[str, ...] | None] = {}
    for sentence in facts().pasted.requirements:
        for match in re.finditer(sentence, text):
            parts = match.groupdict()
            spec = parts.get("spec") or f"{parts['name']}=={parts['version']}"
            spec = re.sub(r"(?:\*\*|[;,`'\"])+$", "", spec)  # with a sentence's marks around it
            versions = parts.get("there")
            told = None if versions is None else tuple(re.findall(r"\d[\w.+]*", versions))
            # what torch had on PyPI before its wheels says where to look for it
            told = () if told and all(each.startswith("0.1.2") for each in told) else told
            missed[spec] = told if missed.get(spec) is None else missed[spec]
    pip = read_pip(list(missed), tool="pip install", files=Files(folder=Path(), closed=True))
    if pip is None:
        return None
    names = {re.split(r"[=<>!~\[]", spec)[0]: spec for spec in missed}
    for asked in _pip_commands(text):
        specs = {re.split(r"[=<>!~\[]", each)[0]: each for each in asked.requirements}
        if names.keys() & specs.keys():
            # a message may write it with the label of the index
            missed = {specs.get(name, spec): missed[spec] for name, spec in names.items()}
            pip = asked
            break
    # the first of several is the one that pip is configured to ask
    listed = "".join(re.findall(r"Looking in indexes: (.*)", text))
    indexes = re.findall(r"https?://[^\s,]+", listed)
    own, *extra = indexes if indexes[1:] else ("", *indexes)
    return replace(
        pip,
        missed=tuple(missed.items()),
        notes=tuple(_hints(text)),
        subdir=_subdir(text),
        index=pip.index or (extra.pop() if not own and extra else ""),
        extra=tuple(dict.fromkeys((*pip.extra, *extra))),
    )


def _pip_commands(text: str) -> Iterator[PipRequest]:
    closed = Files(folder=Path(), closed=True)
    for command in (c for line in text.splitlines() for c in typed(line, anywhere=True)):
        with suppress(ArmtorchError):
            steps = read_command(command, files=closed)
            yield from (each for each in steps if isinstance(each, PipRequest))


def _denied(text: str) -> tuple[str, ...]:
    """Return the channels whose terms were not accepted."""
    _, found, below = text.partition("Terms of Service have not been accepted")
    urls = re.findall(r"(?m)^\s+-\s+(\S+)\s*$", below) if found else []
    return tuple(dict.fromkeys(channel_name(url) for url in urls))


def _command(text: str, files: Files) -> Request | None:
    """Return the last command that can be read; the one before a message is what failed.

    It is about the environment that was made, and activated, above it.
    """
    found: list[Request] = []
    for words in (each for line in text.splitlines() for each in typed(line, anywhere=False)):
        try:
            steps = read_command(words, files=files)
        except ArmtorchError:
            continue  # words that look like one, or a file that is not here
        asked = [step for step in steps if isinstance(step, Request)]
        found += [each for each in asked if not {name_of(s) for s in each.specs} <= TOOLS][:1]
    if not found:
        return None
    last = found[-1]
    for made in (each for each in reversed(found[:-1]) if each.verb == "create"):
        active = re.search(rf"activate {re.escape(made.target[-1])}\b", text)
        if last.verb == "install" and (last.target == made.target or (active and not last.target)):
            return replace(last, target=made.target, beside=made.specs)
    return last


def _subdir(text: str) -> str | None:
    found = [m["subdir"] for m in pattern("platforms").finditer(text)]
    found += [m["subdir"] for m in pattern("channels").finditer(text)]
    for tag in pattern("tags").findall(text):
        rows = subdirs().items()
        found += [name for name, row in rows if any(re.match(p, tag) for p in row.wheel_platforms)]
    told = [name for words, name in facts().pasted.outputs.items() if re.search(words, text)]
    inside = pattern("containers").search(text) is not None
    found += told
    found += [facts().containers.get(each, each) if inside else each for each in _spoken(text)]
    return next((name for name in found if name != "noarch"), None)


def _spoken(text: str) -> list[str]:
    """Return the machines that people name; a board's name says nothing beside its system's."""
    rows = facts().pasted.machines.items()
    found = [name for words, name in rows if re.search(words, text)]
    return found[:1] if found[:1] == ["linux-armv7l"] else found


def _channels(text: str) -> tuple[str, ...]:
    """Return the channels that a client says it asked, in its order."""
    found = []
    for line in _below(text, lambda line: line.strip() in facts().pasted.channel_lists):
        if item := re.match(r"\s*-\s+(?P<channel>[^\s=<>]+)\s*$", line):
            url = pattern("channels").match(item["channel"])
            found.append(url["url"] if url else item["channel"])
    if not found and (url := re.search(r"https://repo\.anaconda\.com/pkgs/\w+", text)):
        found.append(url[0])  # it asked Anaconda's own: its defaults are that
    return tuple(dict.fromkeys(channel_name(url) for url in found))


def _below(text: str, heads: Callable[[str], bool]) -> Iterator[str]:
    """Yield the lines of the lists below some headlines."""
    listing = False
    for line in text.splitlines():
        if heads(line):
            listing = True
        elif listing and line.lstrip().startswith("-"):
            yield line
        elif line.strip():
            listing = False


def _named(text: str) -> tuple[str, ...]:
    """Return the specs that a message is about."""
    pasted, found = facts().pasted, _listed(text)
    if match := pattern("asked").search(text):
        plain = (re.sub(r" \*$", "", each) for each in re.findall(r"'([^']+)'", match["specs"]))
        return tuple(_checked(re.sub(r"^(\S+) (?=\d)", r"\1=", each) for each in plain))
    for line in text.splitlines():
        for sentence in pasted.sentences:
            found += [_written(match) for match in re.finditer(sentence, line)]
    inline = any(
        "because of:" in line and "cannot be installed" in line for line in text.split("\n")
    )
    if not inline:
        found += _branches(text)
    # conda's classic solver: "torchvision -> pytorch[version='1.12.0']", what was asked first
    _, _, below = text.partition("Output in format: Requested package")
    found += re.findall(r"(?m)^([a-z0-9_][\w.-]*(?:[<>=!~][^\s\[]*)?)(?= -> |\s*$)", below)
    if not found:
        found += [f"{m['name']}={m['version']}" for m in pattern("packages").finditer(text)]
    if not found:
        found += [f"{m['name']}={m['version']}" for m in pattern("needed_by").finditer(text)]
    return tuple(dict.fromkeys(_checked(found)))


def _listed(text: str) -> list[str]:
    """Return what stands in the list below a headline."""
    pasted, found = facts().pasted, []
    for line in _below(text, lambda line: any(mark in line for mark in pasted.lists)):
        if (item := pattern("items").match(line)) and "://" not in line:
            plain = re.sub(r"==?([^=*]+)[*]?$", r"=\1", item["spec"])
            found.append(f"{plain}={item['build']}" if item["build"] else item["spec"])
    return found


def _branches(text: str) -> list[str]:
    """Return the branches of a tree that stand furthest left."""
    matches = [
        match
        for line in text.splitlines()
        if (match := pattern("branches").match(line))
        and not re.fullmatch(r"pin(?:-\d+)?", match["name"])
    ]
    least = min((len(match["indent"]) for match in matches), default=0)
    return [_written(match) for match in matches if len(match["indent"]) == least]


def _written(match: re.Match[str]) -> str:
    """Write name, version and build of a sentence as people do: ``pytorch=2.8=cuda*``."""
    parts = match.groupdict()
    version, build = (parts.get("version") or "").rstrip(",;:."), (parts.get("build") or "")
    build = build.rstrip(",;:.")
    if (plain := version.strip("=*").rstrip(".")) and plain[0].isdigit():
        version = version if version.startswith("==") else f"={plain}"
    if version.strip("=*") == "":
        version = "=*" if build.strip("=*") else ""
    kind = f"={build}" if build.strip("=*") else ""
    return f"{parts['name']}{version}{kind}"


def _checked(specs: Iterable[str]) -> list[str]:
    """Leave out what is no package: virtual packages, words of a sentence, and cut variables."""
    found = []
    for spec in specs:
        try:
            text = spec_of(spec)
        except SelectionError:
            continue
        if text[0].isalnum() and "$" not in text:
            found.append(text)
    return found
