"""Bytes and pastes as plain text: encodings, quoting, builders' prefixes, and lines that go on."""

from __future__ import annotations

import ast
import codecs
import re
from functools import partial
from typing import Any

from generator.documents import load_json
from generator.errors import MalformedError, SelectionError
from generator.explaining.facts import pattern
from generator.explaining.reading_tools import commands_of, written_out

EXAMPLE = 'for example: armtorch explain "conda install pytorch torchvision -c pytorch"'
#: byte order marks (Unicode 15, section 23.8); UTF-16's is a part of UTF-32's
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: a byte order mark and zero bytes, and the space of web pages
#: and the quotes that text processors make of plain ones; where a sentence of Chinese or Japanese
#: ends, which has no space around a command
_UNSEEN = {0xFEFF: None, 0: None, 0xA0: " ", 0x201C: '"', 0x201D: '"'} | dict.fromkeys(
    (0x3002, 0xFF01, 0xFF0C, 0xFF1A, 0xFF1B, 0xFF1F), "\n"
)


def refusal(what: str, where: str) -> SelectionError:
    """Return the error for a text that cannot be read, with an example of one that can."""
    return SelectionError(what, where=where, next_step=EXAMPLE)


def no_conda(text: str, *hints: str) -> SelectionError:
    """Return the error for a text in which nothing asks a client for a package."""
    what = (
        "neither a command of conda, mamba, micromamba or pixi nor a package that one of them did "
        "not find"
    )
    return SelectionError(what, where=text[:80], next_step="; ".join([*hints, EXAMPLE]))


def decoded(content: bytes) -> str:
    """Return a file's text: by its byte order mark, as UTF-8, or else as Latin-1 (never fails)."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    half = content[:400]
    if half[1::2].count(0) > len(half) // 4:
        return content.decode("utf-16-le", errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def channel_name(url: str) -> str:
    """Return the name of a channel on conda's own hosts, which people know it by."""
    if re.match(r"https://repo\.anaconda\.com/pkgs/\w+", url):
        return "defaults"
    return url.removeprefix("https://conda.anaconda.org/").rstrip("/")


def plain(text: str) -> str:
    r"""Return a paste without colours, quoting, other systems' line ends, and builders' prefixes.

    A line that goes on (``\`` of shells, ``^`` of cmd, a backquote of PowerShell) becomes one.
    """
    text = pattern("escapes").sub("", text).replace("\r\n", "\n").translate(_UNSEEN)
    text = re.sub(
        r"(?<=\s)[\u2013\u2014](?=\w\b)", "-", re.sub(r"(?<=\s)[\u2013\u2014](?=\w\w)", "--", text)
    )
    # a progress bar writes over its own line
    text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    text = pattern("expression").sub(lambda m: f"${{{{{''.join(m[1].split())}}}}}", text)
    text = pattern("in_front").sub("", text)
    text = pattern("steps").sub(_step, text)
    # with the sign that shells show on such lines
    text = pattern("continued").sub(" ", pattern("comments").sub(r"\1", text))
    text = pattern("locking").sub(
        lambda match: (
            "conda env create --locks" + re.sub(r" -p(?=[ =])", " --platform", match["rest"])
        ),
        text,
    )
    text = pattern("locked").sub(
        lambda m: f"conda create{m['rest']} --file {m['file'] or 'conda-lock.yml'}", text
    )
    text = pattern("wrapped").sub(lambda match: re.sub(r"\n[ \t│]+", " ", match[0]), text)
    text = pattern("blocks").sub(r"```\n\g<lines>```\n", text)
    return pattern("bold").sub(r"\1", pattern("quoted").sub("", text))


def unfolded(text: str) -> str:
    """Write what clients print as JSON, or as lists of Python, in the lines of their messages."""
    documents = _documents(text)
    if cells := [each["cells"] for each in documents if isinstance(each.get("cells"), list)]:
        return commands_of(cells[0])
    return "\n".join([*map(_lines_of, documents), written_out(text)])


def _step(match: re.Match[str]) -> str:
    """Leave a builder's step as the instruction that it runs."""
    return match["line"].removesuffix(":")


def _documents(text: str) -> list[dict[str, Any]]:
    """Return the JSON objects, or Python's dictionaries, that stand in a text by themselves."""
    found: list[dict[str, Any]] = []
    candidates = [text, *re.findall(r"(?m)^[ \t]*(\{.*\})[ \t]*$", text)]
    begin, end = text.find("{"), text.rfind("}")
    if 0 <= begin < end:
        candidates.append(text[begin : end + 1])
    for candidate in candidates[:20]:
        for read in (partial(load_json, where="the text"), ast.literal_eval):
            try:
                value = read(candidate)
            except (MalformedError, ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(value, dict) and value not in found:
                found.append(value)
            break
    return found


def _lines_of(document: dict[str, Any]) -> str:
    parts = [str(document[key]) for key in ("error", "message") if document.get(key)]
    problems = document.get("solver_problems")
    parts += [f"  - {each}" for each in problems] if isinstance(problems, list) else []
    urls = document.get("channel_urls")
    parts += (
        ["Current channels:", *(f"  - {url}" for url in urls)] if isinstance(urls, list) else []
    )
    return "\n".join(parts)
