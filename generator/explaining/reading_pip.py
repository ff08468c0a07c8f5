"""What pip is asked for: commands, requirements files and the pip sections of environment files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

from generator.errors import ArmtorchError
from generator.explaining.facts import PipMeaning, facts
from generator.explaining.reading_files import Files

#: where upstream has an index for each of its builds
UPSTREAM: Final = "https://download.pytorch.org/whl/"


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
    #: files, folders, addresses, with the option before them: what is in them is not looked at
    unread: tuple[str, ...] = ()
    #: what a message says was not found, and the versions that it says there are
    missed: tuple[tuple[str, tuple[str, ...] | None], ...] = ()
    subdir: str | None = None
    target: tuple[str, ...] = ()
    #: of the virtual environment that was made before it, or of the pip itself; "" for none
    python: str = ""
    #: the Pythons that a project is for
    requires: str = ""
    #: projects that are to be built from source, and those that may not be (``--no-binary``)
    from_source: tuple[str, ...] = ()
    wheels_only: tuple[str, ...] = ()
    #: of the files that may be taken, sha256
    hashes: tuple[str, ...] = ()
    #: other options that the command cannot do without where it was typed
    kept: tuple[str, ...] = ()
    #: whether it is in an image whose C library is musl
    musl: bool = False
    #: as a request of conda has it
    stage: int = 0
    notes: tuple[str, ...] = ()

    @property
    def by_first_index(self) -> bool:
        """Whether a package is taken from the first index that has it."""
        return self.tool.startswith("uv") and not any("unsafe" in word for word in self.kept)

    @property
    def elsewhere(self) -> bool:
        """Whether another index or a page is asked, too."""
        return bool(self.extra) or any("-f" in each[:3] for each in self.unread)

    def builds(self, project: str) -> bool:
        """Whether a project's wheels are not to be taken."""
        return bool({":all:", project} & {*self.from_source}) and project not in self.wheels_only

    def command(self) -> str:
        """Return it as a command line."""
        head = self.tool if self.tool.startswith(("pip ", "uv ", "pixi ")) else "pip install"
        words = [shlex.quote(each) for each in self.requirements]
        for each in self.unread:
            option, _, value = each.partition(" ") if each.startswith("-") else ("", "", each)
            words += [option, shlex.quote(value)] if option else [shlex.quote(value)]
        # of PyPI's packages, pixi takes an index by another option
        option = "--index" if head.startswith("pixi ") else "--index-url"
        options = [option, self.index] if self.index else []
        options += [part for url in self.extra for part in ("--extra-index-url", url)]
        options += [part for each in self.from_source for part in ("--no-binary", each)]
        options += [part for each in self.wheels_only for part in ("--only-binary", each)]
        return " ".join([head, *words, *options, *self.kept])


def read_pip(words: Sequence[str], *, tool: str, files: Files) -> PipRequest | None:
    """Read the words behind ``pip install``; None where they ask for nothing."""
    parts = list(_parts(words, files))

    def said(kind: str) -> tuple[str, ...]:
        return tuple(value for each, value in parts if each == kind)

    if not said("requirement") and not said("unread"):
        return None
    return PipRequest(
        tool=tool,
        requirements=tuple(dict.fromkeys(said("requirement"))),
        index=("", *said("index"))[-1],
        extra=said("extra"),
        unread=said("unread"),
        from_source=tuple(part for each in said("source") for part in each.split(",")),
        wheels_only=tuple(part for each in said("wheels") for part in each.split(",")),
        hashes=said("hash"),
        kept=said("kept"),
        python=next((each for each in said("python") if re.fullmatch(r"3\.\d+t?", each)), ""),
    )


def read_requirements(text: str, *, tool: str, files: Files) -> PipRequest | None:
    """Read lines as of a requirements.txt; None where they ask for nothing."""
    return read_pip(list(_words(text.splitlines())), tool=tool, files=files)


def _words(lines: Iterable[str]) -> Iterator[str]:
    """Split options; a requirement stays one word, spaces, hashes and markers or not."""
    for line in lines:
        text = re.sub(r"(^|\s)#.*$", "", line).strip()
        text = text.rstrip("\\").strip()
        # an option after a requirement is not pip's, and means what it says
        for part in re.split(r"\s+(?=--\w|-[fir] )", text):
            if part.startswith("-"):
                yield from part.replace("=", " ", 1).split() if part[1] == "-" else part.split()
            elif part:
                yield part


def _parts(
    words: Iterable[str], files: Files, above: frozenset[str] = frozenset()
) -> Iterator[tuple[str, str]]:
    """Yield what each word says, and its kind: requirement, index, extra, unread or other."""
    rest = [files.expanded(word) for word in words]
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            text = re.sub(r"\s+", " ", word.strip())
            yield ("requirement", text) if is_requirement(word) else ("unread", word)
            continue
        word = re.sub(r"^-[qvUI]+(?=\w)", "-", word)  # -qqr is -q -q -r
        if word in facts().pip_flags:
            yield "kept", word
            continue
        option, joined, value = word.partition("=")
        if not word.startswith("--") and len(word) > 2:
            option, joined, value = word[:2], "=", word[2:].lstrip("=")
        if (meaning := facts().pip_options.get(option)) is None:
            continue
        value = value if joined else (rest.pop(0) if rest else "")
        if meaning == "file":
            yield from _in_file(option, value, files, above)
        else:
            yield from _said(meaning, option, value)


def _said(meaning: PipMeaning, option: str, value: str) -> Iterator[tuple[str, str]]:
    if meaning == "backend":  # uv docs, "Using uv with PyTorch"
        if value not in {"auto", "cpu"}:
            yield "index", f"{UPSTREAM}{value}"
    elif meaning in {"kept", "python"}:
        yield from (("kept", option), ("kept", value))
        yield from [("python", value)] if meaning == "python" else []
    elif meaning == "hash":
        yield meaning, value.removeprefix("sha256:")
    elif meaning in {"index", "extra"}:
        yield meaning, re.sub(r"^[\w.-]+=(?=https?:)", "", value)  # uv may name it
    else:
        yield meaning, f"{option} {value}" if meaning == "unread" else value


def _in_file(
    option: str, value: str, files: Files, above: frozenset[str]
) -> Iterator[tuple[str, str]]:
    if value in above:
        return  # a file may name itself
    try:
        lines = files.content(value).splitlines()
    except ArmtorchError:
        yield "unread", f"{option} {value}"
        return
    # what a file names is beside it
    folder = PurePosixPath(value).parent
    for kind, text in _parts(_words(lines), files.beside(value), above | {value}):
        named, _, path = text.partition(" ")
        local = kind == "unread" and named in {"-c", "--constraint"} and "://" not in path
        yield kind, f"{named} {folder / path}" if local else text


def is_requirement(word: str) -> bool:
    """Whether a word names a project, not an address or what pip does not read (PEP 508)."""
    try:
        return Requirement(word).url is None and not word.endswith(".whl")
    except InvalidRequirement:
        return False
