"""Everything that is printed, in one place: texts of others cannot steer a terminal or a CI.

What shows nothing or changes how the rest is shown (controls, escapes, bidi and zero-width letters,
lone surrogates) appears escaped; a line that GitHub would take for a command does not begin as one;
passwords of addresses are hidden.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from generator.urls import masked

#: Unicode 16, Cc and Cf: C0 but tab and line feed, DEL and C1; soft hyphen, Arabic and Mongolian
#: marks; zero-width letters, line and paragraph separators, bidi controls; tags; and surrogates
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001-\U000e007f]"
)
#: what GitHub's runner takes for a command (actions/runner, ActionCommand.cs): ``::`` at the
#: beginning of a line, ``##[`` anywhere in one
_COMMAND: Final = re.compile(r"(?m)^(\s*):(?=:)|##(?=\[)")


def shown(text: str) -> str:
    r"""Return a text as it may be printed.

    >>> shown("a\x1b[31mb"), shown("x\n::error::y")
    ('a\\x1b[31mb', 'x\n\\x3a:error::y')

    """
    # most of what is shown, and a page of 200,000 packages has millions: no address, no command
    if text.isascii() and text.isprintable() and not _marked(text):
        return text
    text = _HIDDEN.sub(_escaped, masked(text.replace("\r\n", "\n")))
    return _COMMAND.sub(lambda match: rf"{match[1]}\x3a" if match[0] != "##" else r"#\x23", text)


def _marked(text: str) -> bool:
    return "://" in text or "::" in text or "##[" in text


def shortened(text: str, most: int) -> str:
    """Return a text whole, or cut at a word before ``most`` letters; --json has all of it."""
    return text if len(text) <= most else text[:most].rsplit(" ", 1)[0] + " ..."


def listed(parts: Iterable[str], word: str = "and", most: int = 7) -> str:
    """``a``, ``a and b``, ``a, b and c``; of very many the first ones and how many more."""
    found = list(parts)
    if len(found) > most + 1:
        found = [*found[:most], f"{len(found) - most} more"]
    if len(found) < 2:
        return "".join(found)
    return f"{', '.join(found[:-1])} {word} {found[-1]}"


def shown_json(text: str) -> str:
    r"""Return JSON as it may be printed: what would be escaped in a text is a ``\u`` escape."""
    return _HIDDEN.sub(_json_escaped, masked(text))


def write(text: str = "", *, nl: bool = True, err: bool = False) -> None:
    """Print a text, results to standard output and what goes beside them to standard error."""
    click.echo(shown(text), nl=nl, err=err)


def write_error(text: str) -> None:
    """Print what went wrong."""
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    write(text, err=True)


def write_json(value: Any) -> None:
    """Print one JSON document to standard output."""
    write_json_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_json_text(text: str) -> None:
    """Print what is JSON already, with its line end."""
    click.echo(shown_json(text), nl=False)


def append(path: Path, text: str) -> None:
    """Append to a file that a CI shows: a step's summary."""
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(shown(text))


class Screen:
    """Results for people: as wide as the terminal, or wide enough where there is none."""

    def __init__(self) -> None:
        # a pipe or a log gets long lines instead of words broken at 80 columns
        console = Console(highlight=False)
        self._console = console if console.is_terminal else Console(highlight=False, width=200)

    @property
    def width(self) -> int:
        """Columns."""
        return self._console.width

    def print(self, text: str = "", *, lead: str = "", colour: str = "") -> None:
        """Print a text, ``lead`` before it in a colour."""
        before = f"[{colour}]{escape(shown(lead))}[/]" if colour else escape(shown(lead))
        self._console.print(f"{before}{escape(shown(text))}")

    def table(
        self,
        heads: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        right: Iterable[int] = (),
    ) -> None:
        """Print a table without lines; the columns of these places are flush right."""
        table = Table(*(escape(shown(head)) for head in heads), box=None, pad_edge=False)
        for column in right:
            justify: Literal["right"] = "right"
            table.columns[column].justify = justify
        for row in rows:
            table.add_row(*(Text(shown(cell)) for cell in row))
        self._console.print(table)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


def _json_escaped(match: re.Match[str]) -> str:
    # what is no surrogate has one or two units of UTF-16
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
