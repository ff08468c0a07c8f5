"""Another tool's message: what was asked for, of which channels, on which machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from generator.errors import SelectionError
from generator.explaining.facts import Client, facts
from generator.explaining.reading_commands import read_command, spec_of
from generator.explaining.request import Request, name_of
from generator.explaining.shell import EXAMPLE, typed

#: what conda tells people to update in its own messages
_TOOLS = {"conda", "mamba", "micromamba", "pixi", "conda-libmamba-solver"}
#: channels that a client asks on its own: nobody typed those
_OWN = ("conda-forge", "defaults")
_DEFAULTS = re.compile(r"^https://repo\.anaconda\.com/pkgs/\w+")


def read_message(text: str, *, folder: Path) -> Request:
    """Read a message: the last command in it if there is one, else what it names.

    Args:
        text: without colours.
        folder: of the files that a command names.

    Raises:
        SelectionError: neither a command nor a package is in it.

    """
    subdir, channels = _subdir(text), _channels(text)
    if (request := _command(text, folder)) is not None:
        if channels and not request.override:
            own = tuple(name for name in channels if name not in request.channels)
            request = replace(request, defaults=own, listed=True)
        return replace(request, subdir=request.subdir or subdir, origin="error")
    specs = _named(text)
    if not specs:
        raise SelectionError(
            "neither a command of conda, mamba, micromamba or pixi nor a package that one of "
            "them did not find",
            where=text.splitlines()[0][:80],
            next_step=f"paste the command above the message, too; {EXAMPLE}"
            if "\n" in text
            else EXAMPLE,
        )
    client: Client = next(
        (name for name, marks in facts().pasted.clients.items() if any(m in text for m in marks)),
        "conda",
    )
    default = facts().clients[client]
    own = tuple(name for name in channels if name in _OWN)
    pythons = re.findall(facts().pasted.pythons, text)
    return Request(
        client=client,
        verb="add" if client == "pixi" else "install",
        specs=specs,
        channels=tuple(name for name in channels if name not in own),
        defaults=own if channels else default.default_channels,
        listed=bool(channels),
        strict=default.strict,
        beside=tuple(f"python={python}" for python in pythons[:1]),
        subdir=subdir,
        origin="error",
    )


def _command(text: str, folder: Path) -> Request | None:
    """Return the last command that can be read; the one before a message is what failed."""
    for line in reversed(text.splitlines()):
        try:
            for found in typed(line, anywhere=False):
                request = read_command(found, folder=folder)
                if not {name_of(spec) for spec in request.specs} <= _TOOLS:
                    return request
        except SelectionError:
            continue  # words that look like one, or a file that is not here
    return None


def _subdir(text: str) -> str | None:
    pasted = facts().pasted
    found = [m["subdir"] for m in re.finditer(pasted.platforms, text)]
    found += [m["subdir"] for m in re.finditer(pasted.channels, text)]
    return next((name for name in found if name != "noarch"), None)


def _channels(text: str) -> tuple[str, ...]:
    """Return the channels that a client says it asked, in its order."""
    pasted, found, listing = facts().pasted, [], False
    for line in text.splitlines():
        item = re.match(r"\s*-\s+(?P<channel>\S+)\s*$", line)
        if line.strip() in pasted.channel_lists:
            listing = True
        elif listing and item:
            url = re.match(pasted.channels, item["channel"])
            found.append(url["url"] if url else item["channel"])
        elif line.strip():
            listing = False
    if not found:
        found = [m["url"] for m in re.finditer(pasted.channels, text)]
    return tuple(dict.fromkeys(_short(url) for url in found))


def _named(text: str) -> tuple[str, ...]:
    """Return the specs that a message is about."""
    pasted, found = facts().pasted, _listed(text)
    for line in text.splitlines():
        for sentence in pasted.sentences:
            found += [_written(match) for match in re.finditer(sentence, line)]
    inline = any(
        "because of:" in line and "cannot be installed" in line for line in text.split("\n")
    )
    if not inline:
        found += _branches(text)
    if not found:
        # conda's classic solver: "torchvision -> pytorch[version='1.12.0']", what was asked first
        _, _, below = text.partition("Output in format: Requested package")
        found += re.findall(r"(?m)^([a-z0-9_][\w.-]*)(?= -> |\s*$)", below)
    if not found:
        found += [f"{m['name']}={m['version']}" for m in re.finditer(pasted.packages, text)]
    return tuple(dict.fromkeys(_checked(found)))


def _listed(text: str) -> list[str]:
    """Return what stands in the list below a headline."""
    pasted, found, listing = facts().pasted, [], False
    for line in text.splitlines():
        if any(mark in line for mark in pasted.lists):
            listing = True
        elif listing and (item := re.match(pasted.items, line)) and "://" not in line:
            found.append(item["spec"])
        elif line.strip() and listing and not line.lstrip().startswith("-"):
            listing = False
    return found


def _branches(text: str) -> list[str]:
    """Return the branches of a tree that stand furthest left."""
    matches = [
        match
        for line in text.splitlines()
        if (match := re.match(facts().pasted.branches, line)) and match["name"] != "pin"
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
    """Leave out what is no package: virtual packages, and words that a sentence begins with."""
    found = []
    for spec in specs:
        try:
            text = spec_of(spec)
        except SelectionError:
            continue
        if text[0].isalnum():
            found.append(text)
    return found


def _short(url: str) -> str:
    """Return the name of a channel on conda's own hosts, which people know it by."""
    if _DEFAULTS.match(url):
        return "defaults"
    return url.removeprefix("https://conda.anaconda.org/").rstrip("/")
