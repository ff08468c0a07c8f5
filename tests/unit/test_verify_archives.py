"""Archives that `armtorch verify` must refuse with a reason, whatever they claim to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from generator.errors import ArmtorchError
from generator.inspecting import verify_package
from generator.inspecting.container import open_package
from generator.inspecting.limits import limits
from tests.mutated_packages import Draft, packed
from tests.odd_archives import GNU, OLD, USTAR, Tarred, Zipped, pax
from tests.packages import nothing

WHEN = 1767323046
#: 2 Jan 2026 03:04:06 in zip's words
DATE = (3 << 11 | 4 << 5 | 3, 46 << 9 | 1 << 5 | 2)


def draft(*pkg: Tarred, info: tuple[Tarred, ...] = ()) -> Draft:
    entries = {
        "pkg": [replace(each, mtime=WHEN) for each in pkg],
        "info": [replace(each, mtime=WHEN) for each in (INDEX, *info)],
    }
    return Draft("p-1-0", WHEN, DATE, entries)


INDEX = Tarred(b"info/index.json", b"{}")
X = Tarred(b"lib/x", b"x")
EVIL = Tarred(b"lib/evil", b"x")


def read(path: Path) -> list[str]:
    with open_package(path, limits()) as package:
        package.info()
        return [entry.path for entry, _ in package.payload()]


def written(path: Path, made: Draft) -> Path:
    path.write_bytes(made.bytes())
    return path


def test_what_the_seal_writes_is_read(tmp_path):
    long = Tarred(b"lib/" + b"x" * 200, b"\x7fELF", mode=0o755)
    link = Tarred(b"lib/y", kind=b"2", link=b"z" * 300, mode=0o777)
    path = written(tmp_path / "p-1-0.conda", draft(X, long, link))
    assert read(path) == ["lib/x", long.name.decode(), "lib/y"]


TARS = {
    "upwards": (replace(X, name=b"../evil"), "unsafe path"),
    "absolute": (replace(X, name=b"/etc/evil"), "unsafe path"),
    "within": (replace(X, name=b"lib/../../evil"), "unsafe path"),
    "drive": (replace(X, name=b"C:/evil"), "unsafe path"),
    "backslash": (replace(X, name=b"lib\\evil"), "unsafe path"),
    "control": (replace(X, name=b"lib/\nevil"), "unsafe path"),
    "long": (replace(X, name=b"x/" * 2500 + b"y"), "unsafe path"),
    "a hard link": (replace(X, kind=b"1", content=b""), "not as the seal writes it"),
    "a device": (replace(X, kind=b"3", content=b""), "not as the seal writes it"),
    "sparse": (replace(X, kind=b"S"), "not as the seal writes it"),
    "an old file": (replace(X, kind=b"\0"), "not as the seal writes it"),
    "a folder": (replace(X, kind=b"5", content=b""), "not as the seal writes it"),
    "pax path": (replace(X, front=pax(("path", "lib/evil"))), "not as the seal writes it"),
    "two pax": (replace(X, front=pax(("path", "a")) + pax(("path", "b"))), "not as the seal"),
    "pax and GNU": (
        replace(X, name=b"lib/" + b"x" * 200, front=pax(("path", "a"))),
        "not as the seal",
    ),
    "pax of all": (replace(X, front=pax(("path", "a"), kind=b"g")), "not as the seal"),
    "prefix and GNU": (replace(X, prefix=b"lib", magic=GNU), "not as the seal"),
    "prefix and ustar": (replace(X, prefix=b"lib", magic=USTAR), "not as the seal"),
    "prefix and no magic": (replace(X, prefix=b"lib", magic=OLD), "not as the seal"),
    "checksum": (replace(X, wrong=1), "not as the seal"),
    "mode": (replace(X, mode=0o777), "not as the seal"),
    "executable text": (replace(X, mode=0o755), "not as the seal"),
    "owner": (replace(X, owner=1000), "not as the seal"),
    "number": (replace(X, size=b"-0000000001\0"), "no number"),
    "1 TB": (replace(X, size=b"\x80" + (1 << 40).to_bytes(11, "big")), "bytes"),
    "a name of 4 GB": (
        Tarred(b"././@LongLink", kind=b"L", size=b"\x80" + (4 << 30).to_bytes(11, "big")),
        "a header of",
    ),
    "padding": (replace(X, filler=1), "where a block is filled up"),
}


@pytest.mark.parametrize("case", TARS)
@pytest.mark.parametrize("kind", ["pkg", "info"])
def test_a_tar_in_another_form_is_refused_with_the_reason(tmp_path, case, kind):
    entry, reason = TARS[case]
    made = draft(entry) if kind == "pkg" else draft(info=(entry,))
    refused(written(tmp_path / "p-1-0.conda", made), reason)


def refused(path: Path, reason: str) -> None:
    with pytest.raises(ArmtorchError, match=reason) as error:
        read(path)
    assert error.value.where == path.name
    proof = verify_package(path, nothing)
    assert proof.verdict in {"refuted", "not provable"}
    assert proof.flaws or proof.notes
    assert list(path.parent.iterdir()) == [path]


def ended(kind: str, end: bytes) -> Draft:
    made = draft(X)
    made.ends[kind] = end
    return made


def packing(pack: Callable[[bytes], bytes]) -> Draft:
    made = draft(X)
    made.pack["pkg"] = pack
    return made


def zipping(change: Callable[[list[Zipped]], list[Zipped]]) -> Draft:
    made = draft(X)
    made.zip.append(change)
    return made


def filed(edit: Callable[[bytes], bytes]) -> Draft:
    made = draft(X)
    made.file.append(edit)
    return made


def last(members: list[Zipped], **changes: object) -> list[Zipped]:
    return [*members[:-1], replace(members[-1], **changes)]  # type: ignore[arg-type]


FILES = {
    "twice": (draft(X, X), "out of order, or twice"),
    "out of order": (draft(X, EVIL), "out of order"),
    "through a file": (draft(X, replace(X, name=b"lib/x/y")), "leads through"),
    "link, then through it": (
        draft(Tarred(b"a", kind=b"2", link=b"/etc", mode=0o777), replace(X, name=b"a/b")),
        "leads through",
    ),
    "no end": (ended("pkg", b""), "ends early"),
    "half an end": (ended("pkg", bytes(512)), "ends early"),
    "files behind the end": (ended("pkg", bytes(1024) + EVIL.blocks()), "behind its end"),
    "a longer end": (ended("info", bytes(10240)), "behind its end"),
    "two frames": (packing(lambda tar: packed(tar[:512]) + packed(tar[512:])), "not one frame"),
    "a frame that is skipped": (
        packing(lambda tar: packed(tar) + b"\x50\x2a\x4d\x18\4\0\0\0evil"),
        "not one frame",
    ),
    "bytes behind the frame": (packing(lambda tar: packed(tar) + b"more"), "not one frame"),
    "another window": (packing(lambda tar: packed(tar, window_log=27)), "not one frame"),
    "zstd cut off": (packing(lambda tar: packed(tar)[:-5]), "not one frame"),
    "no zstd": (packing(lambda tar: tar), "not one frame"),
    "a bomb": (packing(lambda tar: packed(tar[:-1024] + bytes(300 << 20))), "behind its end"),
    "two of a name": (zipping(lambda members: [*members, members[1]]), "not as the seal"),
    "unlisted": (zipping(lambda members: last(members, listed=False)), "not as the seal"),
    "bytes between": (zipping(lambda members: last(members, before=b"x")), "not"),
    "an extra field": (zipping(lambda members: last(members, extra=b"\1\0\0\0")), "not"),
    "a comment": (zipping(lambda members: last(members, comment=b"x")), "not as the seal"),
    "another local name": (
        zipping(lambda members: last(members, central={"name": b"pkg-q-1-0.tar.zst"})),
        "not as the seal",
    ),
    "a wrong CRC": (
        zipping(lambda members: last(members, central={"content": b"x"})),
        "not as the seal",
    ),
    "in another order": (zipping(lambda members: members[::-1]), "not"),
    "cut off": (filed(lambda content: content[:-100]), "not|takes"),
    "half of it": (filed(lambda content: content[:200]), "not where the seal puts it"),
    "empty": (filed(lambda _: b""), "not where the seal puts it"),
    "html": (filed(lambda _: b"<html>not found</html>"), "not where the seal puts it"),
    "more behind it": (filed(lambda content: content + b"more"), "what it holds takes"),
    "something in front": (filed(lambda content: b"#!/bin/sh\n" + content), "not"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_in_another_form_is_refused_with_the_reason(tmp_path, case):
    made, reason = FILES[case]
    refused(written(tmp_path / "p-1-0.conda", made), reason)


def test_metadata_of_many_megabytes_are_refused(tmp_path):
    made = draft(info=(Tarred(b"info/large", bytes(9 << 20)),))
    refused(written(tmp_path / "p-1-0.conda", made), "of metadata")
