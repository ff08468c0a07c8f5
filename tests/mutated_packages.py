"""Changes sound packages so that readers of them may disagree, or agree on something forged.

Written from what clients do with an archive (stream it by its local headers or go by its directory,
take the first or the last of two, obey pax, GNU's or ustar's names), not from what `verify` checks.
"""

from __future__ import annotations

import io
import json
import random
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import zstandard

from tests.odd_archives import GNU, OLD, USTAR, Tarred, Zipped, pax, tar, zipped

#: what a forger wants to be installed
EVIL = b"import os; os.system('evil')\n"
INFO, PKG = "info", "pkg"


@dataclass
class Draft:
    """A package taken apart down to its headers."""

    stem: str
    when: int
    date: tuple[int, int]
    entries: dict[str, list[Tarred]]
    ends: dict[str, bytes] = field(default_factory=lambda: {PKG: bytes(1024), INFO: bytes(1024)})
    #: what becomes of a tar when it is packed
    pack: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    #: done with the three members, and with the file
    zip: list[Callable[[list[Zipped]], list[Zipped]]] = field(default_factory=list)
    front: bytes = b""
    comment: bytes = b""
    file: list[Callable[[bytes], bytes]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Draft:
        entries: dict[str, list[Tarred]] = {}
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist()[1:]:
                packed = io.BytesIO(archive.read(name))
                unpacked = zstandard.ZstdDecompressor().stream_reader(packed).read()
                with tarfile.open(fileobj=io.BytesIO(unpacked)) as found:
                    entries[name.partition("-")[0]] = [_tarred(found, each) for each in found]
        when = entries[INFO][0].mtime
        time, day = (
            int.from_bytes(content[10:12], "little"),
            int.from_bytes(content[12:14], "little"),
        )
        return cls(path.name.removesuffix(".conda"), when, (time, day), entries)

    def bytes(self) -> bytes:
        members = [Zipped(b"metadata.json", b'{"conda_pkg_format_version":2}', date=self.date)]
        for kind in (PKG, INFO):
            pack = self.pack.get(kind, packed)
            content = pack(tar(self.entries[kind], self.ends[kind]))
            name = f"{kind}-{self.stem}.tar.zst".encode()
            # as the seal: sizes in front, for readers that stream
            long = {"zip64": True}
            members.append(Zipped(name, content, version=45, date=self.date, local=dict(long)))
        for change in self.zip:
            members = change(members)
        content = zipped(members, front=self.front, comment=self.comment)
        for edit in self.file:
            content = edit(content)
        return content


def _tarred(found: tarfile.TarFile, entry: tarfile.TarInfo) -> Tarred:
    stream = found.extractfile(entry) if entry.isreg() else None
    return Tarred(
        entry.name.encode(),
        stream.read() if stream is not None else b"",
        kind=entry.type,
        link=entry.linkname.encode(),
        mode=entry.mode,
        mtime=int(entry.mtime),
    )


def packed(content: bytes, **options: int) -> bytes:
    """Pack as the seal does, or with other options of zstd's."""
    chosen = zstandard.ZstdCompressionParameters.from_level(
        1, **{"threads": 1, "window_log": 24, **options}
    )
    target = io.BytesIO()
    writer = zstandard.ZstdCompressor(compression_params=chosen).stream_writer(
        target, closefd=False
    )
    with writer:
        writer.write(content)
    return target.getvalue()


def mutated(sound: Draft, chance: random.Random) -> tuple[Draft, str]:
    """Return a changed copy, and what was done: one change, or two or three of them."""
    draft = replace(
        sound,
        entries={kind: list(found) for kind, found in sound.entries.items()},
        ends=dict(sound.ends),
        pack={},
        zip=[],
        file=[],
    )
    done = []
    for _ in range(chance.choice((1, 1, 1, 1, 2, 3))):
        change = chance.choice(CHANGES)
        change(draft, chance)
        done.append(change.__name__)
    return draft, " + ".join(done)


# ---- the outer zip ------------------------------------------------------------------------------


def _one(members: list[Zipped], chance: random.Random) -> int:
    return chance.randrange(len(members))


def forged_tar(draft: Draft, kind: str, chance: random.Random) -> bytes:
    """Return the packed tar that a forger would like to be read in the place of the sound one."""
    entries = list(draft.entries[kind])
    files = [n for n, each in enumerate(entries) if each.kind == b"0"]
    if files and chance.random() < 0.7:
        place = chance.choice(files)
        entries[place] = replace(entries[place], content=EVIL)
    else:
        entries.append(Tarred(b"site-packages/evil.pth", EVIL, mtime=draft.when))
    return packed(tar(entries))


def doubled_member(draft: Draft, chance: random.Random) -> None:
    """Two members of a name, the forged one first or last, listed or not."""
    kind = chance.choice((PKG, INFO))
    forged = forged_tar(draft, kind, chance)
    listed, last = chance.random() < 0.5, chance.random() < 0.5

    def change(members: list[Zipped]) -> list[Zipped]:
        place = next(n for n, m in enumerate(members) if m.name.startswith(kind.encode()))
        other = replace(members[place], content=forged, listed=listed)
        if chance.random() < 0.3:
            other = replace(other, name=f"{kind}-other-1-0.tar.zst".encode())
        at = len(members) if last else place
        return [*members[:at], other, *members[at:]]

    draft.zip.append(change)


def bytes_between(draft: Draft, chance: random.Random) -> None:
    """Bytes before, between and behind members; a local header that nothing lists among them."""
    kind = chance.choice((PKG, INFO))
    hidden = Zipped(f"{kind}-{draft.stem}.tar.zst".encode(), forged_tar(draft, kind, chance))
    what = chance.choice((b"\0", b"x" * 100, hidden.body(), hidden.body() + b"PK\1\2"))

    def change(members: list[Zipped]) -> list[Zipped]:
        place = _one(members, chance)
        where = chance.choice(("before", "after"))
        members[place] = replace(members[place], **{where: what})  # type: ignore[arg-type]
        return members

    draft.zip.append(change)


def other_local_header(draft: Draft, chance: random.Random) -> None:
    """The local header says something else than the directory."""
    said: tuple[dict[str, object], ...] = (
        {"name": b"pkg-x-1-0.tar.zst"},
        {"name": b"info/index.json"},
        {"flags": 8},
        {"flags": 1},
        {"flags": 0x800},
        {"method": 8},
        {"method": 93},
        {"version": 20},
        {"date": (1, 1)},
        {"zip64": False},
        {"extra": b"\x01\x00\x00\x00"},
        {"extra": b"up\x05\x00\x01\0\0\0\0"},
        {"packed": b""},
    )
    say = chance.choice(said)
    side = chance.choice(("local", "central", "both"))

    def change(members: list[Zipped]) -> list[Zipped]:
        place = _one(members, chance)
        each = members[place]
        if side in {"local", "both"}:
            each = replace(each, local={**each.local, **say})
        if side in {"central", "both"}:
            each = replace(each, central={**each.central, **say})
        members[place] = each
        return members

    draft.zip.append(change)


def descriptor(draft: Draft, chance: random.Random) -> None:
    """Sizes stand behind the content, as writers do that cannot go back."""

    def change(members: list[Zipped]) -> list[Zipped]:
        place = _one(members, chance)
        each = members[place]
        crc, size, whole = each.sizes()
        behind = b"".join(n.to_bytes(4, "little") for n in (crc, size, whole))
        mark = chance.choice((b"PK\7\x08", b""))
        local = {"flags": 8, "packed": b"", "content": b"", "zip64": False}
        members[place] = replace(each, flags=8, local=local, after=mark + behind)
        return members

    draft.zip.append(change)


def deflated_member(draft: Draft, chance: random.Random) -> None:
    """A member is deflated."""

    def change(members: list[Zipped]) -> list[Zipped]:
        place = _one(members, chance)
        squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
        small = squeeze.compress(members[place].content) + squeeze.flush()
        members[place] = replace(members[place], packed=small, method=8)
        return members

    draft.zip.append(change)


def other_members(draft: Draft, chance: random.Random) -> None:
    """One left out, one more, in another order, unlisted or listed twice."""
    more = Zipped(
        chance.choice((b"evil", b"pkg-evil-1-0.tar.zst", b"./metadata.json", b"info/index.json")),
        chance.choice((EVIL, forged_tar(draft, PKG, chance))),
    )

    def change(members: list[Zipped]) -> list[Zipped]:
        place = _one(members, chance)
        match chance.randrange(6):
            case 0:
                return members[:place] + members[place + 1 :]
            case 1:
                return [*members[:place], more, *members[place:]]
            case 2:
                return members[::-1]
            case 3:
                members[place] = replace(members[place], listed=False)
            case 4:
                return [*members, replace(members[place], there=False)]
            case _:
                members[0] = replace(members[0], content=b'{"conda_pkg_format_version": 2}')
        return members

    draft.zip.append(change)


def around_the_zip(draft: Draft, chance: random.Random) -> None:
    """Something in front of the file, behind it, or another archive there."""
    match chance.randrange(5):
        case 0:
            draft.front = b"#!/bin/sh\n"
        case 1:
            draft.comment = b"comment"
        case 2:
            draft.file.append(lambda content: content + b"more")
        case 3:
            draft.file.append(lambda content: content + content)
        case _:
            draft.file.append(lambda content: EVIL + content)


def torn_file(draft: Draft, chance: random.Random) -> None:
    """Bytes changed, lost or doubled anywhere."""
    how, seed = chance.randrange(4), chance.random()

    def edit(content: bytes) -> bytes:
        place = int(seed * len(content))
        if how == 0:
            return content[:place]
        if how == 1:
            return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        if how == 2:
            return content[:place] + content[place + 7 :]
        return content[:place] + content[place : place + 7] + content[place:]

    draft.file.append(edit)


# ---- zstd ---------------------------------------------------------------------------------------


def other_frames(draft: Draft, chance: random.Random) -> None:
    """More than one frame, frames that are skipped, other parameters, bytes behind the end."""
    kind = chance.choice((PKG, INFO))
    skipped = b"\x50\x2a\x4d\x18\x04\0\0\0evil"
    forged = forged_tar(draft, kind, chance)
    half = 512 * chance.randrange(1, 9)
    draft.pack[kind] = chance.choice(
        (
            lambda t: packed(t[:half]) + packed(t[half:]),
            lambda t: skipped + packed(t),
            lambda t: packed(t) + skipped,
            lambda t: packed(t) + b"more",
            lambda t: packed(t) + forged,
            lambda t: packed(b"") + packed(t),
            lambda t: packed(t)[:-3],
            lambda t: packed(t, window_log=20),
            lambda t: packed(t, write_checksum=True),
            lambda t: zstandard.ZstdCompressor(level=1).compress(t),
            lambda t: packed(t[:-512]),
            lambda t: t,
        )
    )


# ---- tar ----------------------------------------------------------------------------------------


def _place(draft: Draft, chance: random.Random, kind: str = "") -> tuple[list[Tarred], int]:
    entries = draft.entries[kind or chance.choice((PKG, PKG, INFO))]
    return entries, chance.randrange(len(entries)) if entries else -1


def two_names(draft: Draft, chance: random.Random) -> None:
    """A header and an extended one that name different files: seven forms and their mixtures."""
    entries, place = _place(draft, chance)
    if place < 0:
        return
    each = entries[place]
    evil, own = "site-packages/evil.pth", each.name.decode()
    long = Tarred(b"././@LongLink", evil.encode() + b"\0", kind=b"L", mode=0).blocks()
    entries[place] = chance.choice(
        (
            replace(each, front=long + pax(("path", own))),
            replace(each, front=pax(("path", evil)) + long),
            replace(each, front=pax(("path", evil)) + pax(("path", own))),
            replace(each, front=pax(("path", own)) + pax(("mtime", "1"))),
            replace(each, front=pax(("path", evil), ("path", own))),
            replace(each, front=pax(("path", evil), kind=b"g")),
            replace(each, front=pax(("path", evil), kind=b"X")),
            replace(each, front=pax(("linkpath", evil))),
            replace(each, front=pax(("size", str(len(each.content) + 512)))),
            replace(each, front=pax(("size", "0"))),
            replace(each, front=pax(("GNU.sparse.name", evil), ("GNU.sparse.major", "1"))),
            replace(each, front=pax(("hdrcharset", "BINARY"), ("path", own))),
            replace(each, front=long),
            replace(each, name=b"evil", front=pax(("path", own))),
            replace(each, prefix=b"site-packages", magic=b"ustar\0" + b"99"),
            replace(each, prefix=b"site-packages", magic=OLD),
            replace(each, prefix=b"site-packages", magic=GNU),
            replace(each, prefix=b"site-packages", magic=USTAR),
            replace(each, magic=USTAR),
        )
    )


def other_header(draft: Draft, chance: random.Random) -> None:
    """Numbers, kinds and owners that readers may take otherwise."""
    entries, place = _place(draft, chance)
    if place < 0:
        return
    each = entries[place]
    size = len(each.content)
    kinds: tuple[dict[str, object], ...] = tuple(
        {"kind": kind} for kind in (b"\0", b"7", b"1", b"5", b"3", b"S", b"V", b"M")
    )
    said: tuple[dict[str, object], ...] = (
        {"size": b"\x80" + size.to_bytes(11, "big")},
        {"size": b"%011o " % size},
        {"size": b" %010o\0" % size},
        {"size": b"%011o\0" % (size + 1)},
        {"size": b"-%010o\0" % size},
        {"size": b"\xff" * 12},
        {"end": b" "},
        {"wrong": 1},
        {"mode": 0o777},
        {"mode": each.mode ^ 0o111},
        {"mode": 0o4755},
        {"mtime": each.mtime + 1},
        {"owner": 1000},
        {"user": b"root"},
        {"link": b"etc/passwd"},
        {"filler": 1},
    )
    say = chance.choice((*said, *kinds))
    entries[place] = replace(each, **say)  # type: ignore[arg-type]


def other_name(draft: Draft, chance: random.Random) -> None:
    """Names that lead elsewhere, or to the same place by another way."""
    entries, place = _place(draft, chance)
    if place < 0:
        return
    each = entries[place]
    other = chance.choice(
        (
            b"./" + each.name,
            each.name + b"/",
            b"../" + each.name,
            b"/" + each.name,
            each.name.replace(b"/", b"//", 1),
            each.name.replace(b"/", b"/./", 1),
            each.name.upper(),
            each.name + b"\0evil",
            b"\xff" + each.name,
            each.name.replace(b"/", b"\\"),
            "e\u0301".encode() + each.name,
            b"info/index.json",
            b"x/" * 60 + each.name,
        )
    )
    entries[place] = replace(each, name=other)


def doubled_entry(draft: Draft, chance: random.Random) -> None:
    """A file twice: the forged one first or last, beside it or at the end, in either tar."""
    entries, place = _place(draft, chance)
    if place < 0:
        return
    forged = replace(entries[place], content=EVIL, kind=b"0", link=b"")
    target = (
        entries
        if chance.random() < 0.7
        else draft.entries[INFO if entries is draft.entries[PKG] else PKG]
    )
    target.insert(
        chance.choice((0, min(place, len(target)), min(place + 1, len(target)), len(target))),
        forged,
    )


def behind_the_end(draft: Draft, chance: random.Random) -> None:
    """A tar without its end, with a longer one, or with more files behind it."""
    kind = chance.choice((PKG, INFO))
    more = Tarred(b"site-packages/evil.pth", EVIL, mtime=draft.when).blocks()
    draft.ends[kind] = chance.choice(
        (
            b"",
            bytes(512),
            bytes(512) + more + bytes(1024),
            bytes(1024) + more,
            bytes(10240),
            bytes(1024) + b"x" * 512,
        )
    )


def through_a_link(draft: Draft, chance: random.Random) -> None:
    """A link, and a file that leads through it; or a link in the place of a file."""
    entries = draft.entries[PKG]
    to = chance.choice((b"..", b"/tmp", b"site-packages", b"../../../../etc"))
    link = Tarred(b"a", kind=b"2", link=to, mode=0o777, mtime=draft.when)
    if chance.random() < 0.5 or not entries:
        entries[0:0] = [link, Tarred(b"a/evil.pth", EVIL, mtime=draft.when)]
    else:
        place = chance.randrange(len(entries))
        entries[place] = replace(link, name=entries[place].name)


# ---- content ------------------------------------------------------------------------------------


def other_content(draft: Draft, chance: random.Random) -> None:
    """A file has other bytes, is gone, is there under another's name."""
    entries, place = _place(draft, chance)
    if place < 0:
        return
    each = entries[place]
    match chance.randrange(4):
        case 0:
            del entries[place]
        case 1:
            other = entries[chance.randrange(len(entries))]
            entries[place] = replace(each, content=other.content)
        case 2 if each.content:
            at = chance.randrange(len(each.content))
            changed = bytes([each.content[at] ^ 1 << chance.randrange(8)])
            entries[place] = replace(
                each, content=each.content[:at] + changed + each.content[at + 1 :]
            )
        case _:
            entries[place] = replace(each, content=each.content + b"\n")


def other_json(draft: Draft, chance: random.Random) -> None:
    """A field of a metadata file is another, gone, new, twice, or written otherwise."""
    entries = draft.entries[INFO]
    places = [n for n, each in enumerate(entries) if each.name.endswith(b".json")]
    place = chance.choice(places) if places else -1
    if place < 0:
        return
    each = entries[place]
    try:
        value = json.loads(each.content)
    except ValueError:
        return
    if not isinstance(value, dict) or not value:
        return
    key = chance.choice(list(value))
    match chance.randrange(6):
        case 0:
            del value[key]
        case 1:
            value[key] = chance.choice((None, [], {}, "", "evil", -1, 1e308, True, ["evil"]))
        case 2:
            value["noarch"] = chance.choice(("python", "generic"))
        case 3:
            value[chance.choice(("python_site_packages_path", "purls", "zzz"))] = "evil"
        case 4:
            text = json.dumps({key: "evil"})[:-1] + ", " + json.dumps(value)[1:]
            entries[place] = replace(each, content=text.encode())
            return
        case _:
            entries[place] = replace(each, content=json.dumps(value).encode())
            return
    text = json.dumps(value, indent=2, ensure_ascii=False)
    entries[place] = replace(each, content=text.encode())


def new_file(draft: Draft, chance: random.Random) -> None:
    """A file more, in either tar, in its order."""
    kind = chance.choice((PKG, INFO))
    name = chance.choice(
        (
            b"site-packages/evil.pth",
            b"bin/evil",
            b"info/evil",
            b"info/recipe/post-link.sh",
            b"info/files",
            b"info/no_link",
            b"info/has_prefix",
            b"info/link.json",
            b"lib/evil.so",
        )
    )
    entries = draft.entries[kind]
    entries.append(Tarred(name, EVIL, mtime=draft.when))
    entries.sort(key=lambda each: each.name.split(b"/") if kind == PKG else [each.name])


CHANGES: tuple[Callable[[Draft, random.Random], None], ...] = (
    doubled_member,
    bytes_between,
    other_local_header,
    descriptor,
    deflated_member,
    other_members,
    around_the_zip,
    torn_file,
    other_frames,
    two_names,
    other_header,
    other_name,
    doubled_entry,
    behind_the_end,
    through_a_link,
    other_content,
    other_json,
    new_file,
)
