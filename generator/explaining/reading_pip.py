"""What pip is asked for: commands, requirements files and the pip sections of environment files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from packaging.requirements import InvalidRequirement, Requirement

from generator.errors import ArmtorchError
from generator.explaining.facts import facts
from generator.explaining.reading_files import Files


@dataclass(frozen=True, kw_only=True)
class PipRequest:
    """One request to pip, or to what stands for it."""

    #: ``pip install``, ``the pip section of environment.yml``, ``pixi add --pypi``
    tool: str
    #: each a requirement (PEP 508)
    requirements: tuple[str, ...]
    #: ``--index-url``; "" for what pip is configured to ask
    index: str = ""
    extra: tuple[str, ...] = ()
    #: files, folders, addresses: what is in them is not looked at
    unread: tuple[str, ...] = ()
    subdir: str | None = None
    target: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def command(self) -> str:
        """Return it as a command line."""
        head = self.tool if self.tool.startswith(("pip ", "uv ", "pixi ")) else "pip install"
        words = [shlex.quote(each) for each in (*self.requirements, *self.unread)]
        options = ["--index-url", self.index] if self.index else []
        options += [part for url in self.extra for part in ("--extra-index-url", url)]
        return " ".join([head, *words, *options])


@dataclass
class _Found:
    requirements: list[str] = field(default_factory=list)
    index: str = ""
    extra: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def read_pip(words: Sequence[str], *, tool: str, files: Files) -> PipRequest | None:
    """Read the words behind ``pip install``; None where they ask for nothing."""
    found = _Found()
    _read(words, found, files)
    if not found.requirements and not found.unread:
        return None
    return PipRequest(
        tool=tool,
        requirements=tuple(dict.fromkeys(found.requirements)),
        index=found.index,
        extra=tuple(found.extra),
        unread=tuple(found.unread),
    )


def read_requirements(text: str, *, tool: str, files: Files) -> PipRequest | None:
    """Read lines as of a requirements.txt; None where they ask for nothing."""
    return read_pip(list(_words(text.splitlines())), tool=tool, files=files)


def _words(lines: Iterable[str]) -> Iterator[str]:
    """Split options; a requirement stays one word, spaces, hashes and markers or not."""
    for line in lines:
        text = re.sub(r"(^|\s)#.*$", "", line).strip()
        text = re.sub(r"\s+--hash=\S+", "", text).rstrip("\\").strip()
        if text.startswith("-"):
            yield from text.replace("=", " ", 1).split() if text.startswith("--") else text.split()
        elif text:
            yield text


def _read(words: Sequence[str], found: _Found, files: Files) -> None:
    rest = [files.expanded(word) for word in words]
    while rest:
        word = rest.pop(0)
        option, joined, value = word.partition("=")
        if word.startswith("-"):
            if not word.startswith("--") and len(word) > 2:
                option, joined, value = word[:2], "=", word[2:].lstrip("=")
            meaning = facts().pip_options.get(option)
            if meaning is None:
                continue
            value = value if joined else (rest.pop(0) if rest else "")
            _note(meaning, value, found, files)
        elif _is_requirement(word):
            found.requirements.append(re.sub(r"\s+", " ", word.strip()))
        else:
            found.unread.append(word)


def _note(meaning: str, value: str, found: _Found, files: Files) -> None:
    if meaning == "index":
        found.index = value
    elif meaning == "extra":
        found.extra.append(value)
    elif meaning == "unread":
        found.unread.append(value)
    elif meaning == "file":
        try:
            lines = files.content(value).splitlines()
        except ArmtorchError:
            found.unread.append(value)
            return
        # a file that names itself ends when its depth does
        if len(found.requirements) < 10_000 and value not in found.unread:
            inner = replace(files, variables=files.variables)
            _read([w for w in _words(lines) if w != value], found, inner)


def _is_requirement(word: str) -> bool:
    try:
        return Requirement(word).url is None
    except InvalidRequirement:
        return False
