"""Texts of others cannot steer a terminal, a log, a table, JSON, a page or a CI."""

from __future__ import annotations

import json

import pytest

from generator.console import Plain
from generator.model.names import one_line
from generator.printing import Screen, append, shown, write, write_error, write_json

#: what a yank reason, a Summary or a file's name may try
NASTY = {
    "colour": "a\x1b[31mred\x1b[0m",
    "title": "a\x1b]0;gone\x07",
    "erase": "safe\x1b[2K\x1b[1Gevil",
    "backspace": "ab\b\bcd",
    "return": "good\rbad",
    "c1": "a\x9b31mred",
    "bidi": "user\u202etxt.exe",
    "isolate": "a\u2066b\u2069",
    "zero width": "pay\u200bpal",
    "surrogate": "a\ud800b",
    "separator": "a\u2028b\u0085c",
    "nul": "a\0b",
    "tags": "a\U000e0041b",
    "bom": "\ufeffa",
}


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_nothing_hidden_is_printed_anywhere(text, capsys, tmp_path):
    write(text)
    write_error(text)
    write_json({"said": [text]})
    screen = Screen()
    screen.print(text, lead=text, colour="red")
    screen.table([text], [[text]])
    Plain().say(text)
    Plain().warn(text)
    summary = tmp_path / "summary"
    append(summary, text)
    captured = capsys.readouterr()
    for out in (captured.out, captured.err, summary.read_text(encoding="utf-8")):
        plain = out.replace("\x1b[31m", "").replace("\x1b[1m", "").replace("\x1b[0m", "")
        assert not [c for c in plain if shown(c) != c and c not in "\n\t"]


def test_json_stays_the_same_json(capsys):
    said = {name: text for name, text in NASTY.items() if name != "surrogate"}
    write_json(said)
    assert json.loads(capsys.readouterr().out) == said


@pytest.mark.parametrize(
    "text", ["::error::x", "a\n  ::set-output name=x::y", "x ##[error]y", "\t::add-mask::z"]
)
def test_a_line_is_no_command_of_the_ci(text, capsys):
    write(text)
    Plain().warn(text)
    captured = capsys.readouterr()
    for line in (captured.out + captured.err).splitlines():
        assert not line.lstrip().startswith("::")
        assert "##[" not in line


def test_rich_markup_of_others_is_text(capsys):
    Screen().table(["[bold]x[/]"], [["[red]y[/red]"]])
    Screen().print("[link=http://x]z[/link]", lead="[blink]w", colour="green")
    out = capsys.readouterr().out
    for text in ("[red]y[/red]", "[link=http://x]z[/link]", "[blink]w"):
        assert text in out


def test_what_is_fine_stays_as_it_is():
    for text in ("Größe ≥ 2.10 → 日本語 🎉", "a\tb\nc", "http://host:80/x", "C::D", "std::vector"):
        assert shown(text) == text


def test_a_text_that_is_kept_is_one_line():
    assert one_line("a\r\n::error::\x1b[1m b\u202e", 40) == "a ::error::[1m b"
    assert len(one_line("x" * 9999, 100)) == 100
