"""Finds a client's command in what a person typed or pasted: prompts, sudo, notebooks, chains."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from generator.errors import SelectionError
from generator.explaining.facts import Client, facts

EXAMPLE = 'for example: armtorch explain "conda install pytorch torchvision -c pytorch"'
#: verbs that ask for packages; the longest first
VERBS = (
    "env create", "env update", "global install", "global add",
    "install", "create", "add", "update", "upgrade",
)  # fmt: skip
_OPERATORS = ";&|"
_FIRST = {verb.split()[0] for verb in VERBS}
#: characters behind a client's name in which its verb stands
_NEAR = 300
_REDIRECTED = re.compile(r"^\d*>{1,2}(?!=)|^<(?!=)")


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


def typed(line: str, *, anywhere: bool) -> Iterator[Typed]:
    """Find the commands of clients in one line that ask for packages.

    Args:
        line: a line without colours.
        anywhere: also behind words that are no prompt; for a line that somebody gives on purpose.

    Raises:
        SelectionError: a quote is not closed.

    """
    end: int | None = None
    for match in re.finditer(facts().pasted.commands, line):
        before = line[: match.start()]
        if end is not None and not set(_OPERATORS) & set(line[end : match.start()]):
            continue  # a word of the command before
        if not anywhere and re.fullmatch(facts().pasted.prompts, before) is None:
            continue
        rest = line[match.end() :]
        if not _FIRST & set(rest[:_NEAR].split()):
            continue  # `conda activate`, or no command at all
        for quote in "\"'":
            if before.count(quote) % 2 and not match["quote"]:
                rest = rest.split(quote)[0]  # sh -c "conda install ..."
        words = _words(rest, line)
        if (found := _verb(words)) is None or (match["pip"] and found[0] != "install"):
            continue
        verb, others = found
        end = match.end()
        variables = {
            m["name"]: m["value"].strip("\"'")
            for m in re.finditer(facts().pasted.variables, before)
        }
        yield Typed(
            client=_client(match), verb=verb, words=tuple(others), variables=variables, line=line
        )


def _client(match: re.Match[str]) -> Client | Literal["pip"]:
    if match["pip"]:
        return "pip"
    word = (match["client"] or ("mamba" if "MAMBA_EXE" in match[0] else "conda")).lower()
    return next(client for client in facts().clients if client == word)


def _words(rest: str, line: str) -> list[str]:
    """Take a command apart as a shell would, up to where the next one begins."""
    if re.search(r"\b[A-Za-z]:\\", rest):
        rest = rest.replace("\\", "\\\\")  # a path of Windows, not an escape
    lexer = shlex.shlex(rest, posix=True, punctuation_chars=_OPERATORS)
    lexer.whitespace_split = True
    found: list[str] = []
    try:
        for word in lexer:
            if (word and word[0] in _OPERATORS) or _REDIRECTED.match(word):
                break
            if found and re.match(r"[<>=!~]=?[\d.*]", word):
                # shells take `pytorch >=2` for something else; it is clear what was meant
                found[-1] += word
                continue
            found.append(word)
    except ValueError as error:
        raise SelectionError(
            f"a quote is not closed: {error}", where=line, next_step=EXAMPLE
        ) from error
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
