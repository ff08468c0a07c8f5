"""What is written by hand, since a package has thousands of it, is what the library writes."""

from __future__ import annotations

import csv
import io
import json
import random
import tarfile

import pytest

from generator.building import rendered
from generator.building.archive import is_binary, tar_header
from generator.inspecting import pieces
from generator.inspecting.deriving import read_record, record_text
from generator.inspecting.manifest import manifest_text
from tests.counts import count
from tests.hostile_inputs import TEXTS, VALUES

NAMES = ("a", "ab/c.h", "é", "x" * 100, "x" * 101, "é" * 51, "日本/" * 40, "a b", "a,b", 'a"b', "")
SCALARS = (*(text for text in TEXTS if len(text) < 1000), "k" * 130, "- x", "? y", "a: b", "x #c")


def by_tarfile(name: str, seconds: int, head: bytes, size: int, link: str | None) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = size, seconds
    if link is not None:
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, link, 0o777
    else:
        entry.mode = 0o755 if is_binary(head) or head.startswith(b"#!") else 0o644
    return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


@pytest.mark.parametrize("seconds", [0, 1768849290, 8**11 - 1, 8**11])
def test_headers_are_those_of_tarfile(seconds):
    for name in NAMES:
        for size in (0, 1, 511, 8**11 - 1, 8**11):
            for head in (b"", b"\x7fELF", b"#!/b", b"MZ", b"text"):
                wanted = by_tarfile(name, seconds, head, size, None)
                assert tar_header(name, seconds, head=head, size=size) == wanted
        for link in NAMES:
            assert tar_header(name, seconds, link=link) == by_tarfile(name, seconds, b"", 0, link)


def document(chance: random.Random, depth: int = 0) -> object:
    kind = chance.random()
    if depth > 4 or kind < 0.5:
        return chance.choice((*SCALARS, True, False, None, 0, 1, -5, 1.5, 10**20))
    if kind < 0.75:
        return [document(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(SCALARS): document(chance, depth + 1) for _ in range(chance.randrange(4))}


def test_yaml_is_laid_out_as_ruamel_does():
    chance = random.Random(5)
    for _ in range(count("short_ways")):
        value = document(chance)
        assert rendered.yaml_text(value) == rendered._dumped(value), value


def test_a_manifest_is_laid_out_as_json_does():
    chance = random.Random(6)
    plain = [value for value in VALUES if value != 10**400]
    for _ in range(count("short_ways")):
        value = {"x": document(chance), "y": chance.choice(plain), "z": {"b": 1, "a": ("t",)}}
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        assert manifest_text(value) == text.encode("utf-8", "surrogatepass"), value


@pytest.mark.parametrize("name", [*NAMES[:-1], "a\nb", "a\rb", "x-1.dist-info/METADATA"])
def test_a_record_is_written_and_read_as_csv_does(name):
    digest = "A" * 43
    rows = {name: (f"sha256={digest}", "7"), "b": (f"sha256={digest}", "8"), "c": ("", "")}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows((path, *row) for path, row in sorted(rows.items()))
    assert record_text(rows) == text.getvalue().encode()
    del rows["c"]
    for end in ("\n", "\r\n"):
        content = record_text(rows).replace(b"\n", end.encode()) if "\n" not in name else b""
        if content and "\r" not in name:
            own = f"x-1.dist-info/RECORD,,{end}".encode()
            assert read_record(content + own, 9) == {name: (digest, 7), "b": (digest, 8)}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,sha256={0},1\na,sha256={0},1\n", "twice"),
        ('"a",sha256={0},1\na,sha256={0},1\n', "row"),
        ("a,sha256={0},1\nb,sha256=short,1\n", "no sha256"),
        ("a,sha256={0},1\nb\n", "not enough values"),
        ("a,sha256={0},1\nb,sha256={0},\u0661\n", "row"),
        ("".join(f"{n},sha256={{0}},1\n" for n in range(10)), "more than 9"),
        # a row within a quoted name is no row
        ('"x\nb,sha256={0},1\ny"\n', "not enough values"),
    ],
)
def test_what_is_no_record_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        read_record(text.format("A" * 43).encode(), 9)


def test_of_a_binary_its_ends_are_kept_and_nothing_is_made_up():
    content = random.Random(7).randbytes(12 << 20)
    kept = pieces.Pieces("lib/x.so", len(content))
    for at in range(0, len(content), 1 << 20):
        kept.write(content[at : at + (1 << 20)])
    for place, size in ((0, 9), ((1 << 20) - 3, 9), ((8 << 20) - 9, 9), (len(content) - 9, 99)):
        kept.seek(place)
        assert kept.read(size) == content[place : place + size]
    kept.seek(10 << 20)
    with pytest.raises(pieces.MissedError):
        kept.read(1)
