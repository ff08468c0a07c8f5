"""Wheels, pages, locks and feedstocks that somebody wrote to do harm, through the line in process.

    python -m tests.hostile_inputs KIND FIRST LAST

Each number is one input, the same in every run. Mutations start from what could fool the line:
names and texts that become paths, specs and expressions, types that are not what stands there,
digests computed anew, archives whose parts disagree. A failure is an exception that is none of the
family, an input of over 30 seconds, a process of over 1 GiB, or a file outside of the folders.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from generator.channel import LocalChannel
from generator.errors import ArmtorchError
from generator.feedstock import read_feedstock
from generator.lock import read_lock
from generator.lock.document import HEAD, digest_of, to_document
from generator.matrix import matrix_view, variants
from generator.project import Project
from generator.stages.build import BuildOptions, build_variants
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock
from generator.transport import forget_hosts
from tests.fuzz_archives import peak
from tests.in_process import asked_once
from tests.index_server import HTML, JSON, Behaviour, IndexServer
from tests.integration.synthetic import open_project
from tests.synthetic_wheels import Release, TinyWheel
from tests.synthetic_wheels.archive import zip_bytes

SECONDS: Final = 30.0
BYTES: Final = 1 << 30
ARM: Final = "linux-aarch64"
RELEASE: Final = Release(subdir=ARM, torch="2.10.0", torchaudio="2.10.0")
TEXTS: Final = (
    "",
    " ",
    ".",
    "(AND()",
    "..",
    "../../../X",
    "/etc/passwd",
    "C:\\x",
    "con",
    "aux.txt",
    "a:b",
    "a/b",
    "a\\b",
    "${{ env.get('PREFIX_API_KEY') }}",
    "${{ 'x' * 999999999 }}",
    "{{ 1 }}",
    "{% raw %}",
    "<% x %>",
    "a\nb",
    "a\r\n- evil: 1",
    "\0",
    "\x1b[31m",
    "\u202e",
    "\u200b",
    "\ufeff",
    "é",
    "日本",
    "🎉",
    "\x85",
    "x" * 5000,
    "9" * 5000,
    "1e999",
    "-1",
    "0",
    "NaN",
    "null",
    "~",
    "yes",
    "*",
    "&a",
    "!!x",
    "---",
    "#",
    "===x",
    "~=1",
    ">=1,<",
    "!=*",
    "1.0.0.0.0.0",
    "2.10.0+../x",
    "2.10.0.dev99999999999",
    "1!2.10.0",
    "os_name ~= 'posix'",
    "x ; os_name ~= 'posix'",
    "x ; python_version < '3.x'",
    "x @ file:///etc",
    "x ; " + "(" * 500 + "os_name == 'x'",
    "x[${{ 1 }}]",
    "torch==2.10.0",
    "numpy>=1" * 50,
    "sha256:" + "0" * 64,
    "0" * 64,
    "g" * 64,
    "0" * 63,
    "http://[::1",
    "file:///etc/passwd",
    "https://user:pw@host/x",
    "//x",
    "javascript:1",
    "torch-2.10.0-1/../../..-cp312-cp312-any.whl",
    "torch-2.10.0-cp312-cp312-" + ".".join(["any"] * 60) + ".whl",
    "2.10",
    "3.12",
    "3.99",
    "cuda130",
)
VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    1 << 70,
    1.5,
    [],
    {},
    [[]],
    [None],
    {"a": None},
    "x",
    [{}],
    10**400,
)
_TORCH: Final = ("cp311", "cp312")


@dataclass
class Result:
    """What came of some inputs."""

    tried: int = 0
    refused: int = 0
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def peak(self) -> int:
        """Bytes of this process at most, so far."""
        return peak() << 20

    def __str__(self) -> str:
        return (
            f"{self.tried} tried, {self.refused} refused, {len(self.failures)} failures, "
            f"the slowest {self.slowest:.1f} s, peak {self.peak / 1e6:.0f} MB"
        )


def wheel(chance: random.Random) -> TinyWheel | tuple[str, bytes]:
    """A torchaudio, now and then a torch, that is not what it should be."""
    sound = (
        RELEASE.wheel("torchaudio", "cp312")
        if chance.random() < 0.8
        else RELEASE.wheel("torch", "cp312")
    )
    match chance.randrange(5):
        case 0:
            return replace(sound, metadata=_metadata(sound, chance))
        case 1:
            names = {_member(chance): b"x" for _ in range(chance.randint(1, 3))}
            return replace(
                sound,
                members={**sound.members, **names},
                console_scripts=[*sound.console_scripts, _line(chance)],
            )
        case 2:
            return replace(sound, record=_flipped(sound.record_bytes(), chance))
        case 3:
            return sound.filename, _repacked(sound, chance)
        case _:
            return sound.filename, _flipped(sound.content(), chance, ends=400)


def _metadata(sound: TinyWheel, chance: random.Random) -> bytes:
    lines = sound.metadata_bytes().decode().partition("\n\n")[0].splitlines()
    fields = ("Name", "Version", "Summary", "License-Expression", "License", "Requires-Python",
              "Requires-Dist", "Home-page", "Project-URL", "Classifier", "Keywords", "License-File",
              "Dynamic", "Metadata-Version", "Provides-Extra", "Author-email")  # fmt: skip
    for _ in range(chance.randint(1, 4)):
        name, text = chance.choice(fields), chance.choice(TEXTS).replace("\n", "\n ")
        at = next((n for n, line in enumerate(lines) if line.startswith(f"{name}:")), None)
        if at is None or chance.random() < 0.3:
            lines.insert(chance.randint(0, len(lines)), f"{name}: {text}")
        else:
            lines[at] = f"{name}: {text}"
    return ("\n".join(lines) + "\n\n").encode("utf-8", "surrogatepass")


def _member(chance: random.Random) -> str:
    return f"torchaudio/{chance.choice(TEXTS)[:200]}{chance.choice(('', '.py', '/x', '.so', '/'))}"


def _line(chance: random.Random) -> str:
    return f"{chance.choice(TEXTS)} = {chance.choice(('a:b', *TEXTS))}".replace("\n", " ")[:300]


def _flipped(content: bytes, chance: random.Random, ends: int = 0) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        low = max(0, len(changed) - ends) if ends and chance.random() < 0.6 else 0
        at = chance.randint(low, max(low, len(changed) - 1))
        match chance.randrange(4):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                word = chance.choice((0, 1, 2**15, 2**16 - 1, 2**31, 2**32 - 1))
                changed[at : at + 4] = word.to_bytes(4, "little")
            case 2:
                del changed[at : at + chance.randint(1, 64)]
            case _:
                changed[at:at] = changed[at : at + chance.randint(1, 64)]
    return bytes(changed)


def _repacked(sound: TinyWheel, chance: random.Random) -> bytes:
    """The archive with a part that disagrees with the others."""
    members = sound.members_in_order()
    if chance.random() < 0.4:  # packed as no wheel is, or a bomb
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in members:
                kind = chance.choice((0, 8, 8, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
                big = content + bytes(chance.choice((0, 0, 20_000_000)))
                archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), big, kind)
        return buffer.getvalue()
    changed = bytearray(zip_bytes([*members, *chance.sample(members, chance.randint(0, 2))]))
    # fields of the central directory: flags, method, time, CRC, sizes, lengths, attributes, offset
    marks = [at for at in range(len(changed)) if changed.startswith(b"PK\1\2", at)]
    for _ in range(chance.randint(1, 3)):
        at = chance.choice(marks) + chance.choice((6, 8, 10, 12, 16, 20, 24, 28, 30, 32, 38, 42))
        word = chance.choice((0, 1, 12, 14, 0x8000, 0xFFFF, 0xA1FF0000, 0xFFFFFFFF))
        struct.pack_into("<I", changed, min(at, len(changed) - 4), word)
    return bytes(changed)


def page(chance: random.Random) -> tuple[str, bytes]:
    """An index's page: content type and body."""
    row: dict[str, Any] = {
        "filename": "torch-2.10.0-cp312-cp312-manylinux_2_28_aarch64.whl",
        "url": "/files/x.whl",
        "hashes": {"sha256": "0" * 64},
        "size": 9,
        "requires-python": ">=3.9",
        "yanked": False,
        "core-metadata": True,
        "upload-time": "2026-01-01T00:00:00Z",
    }
    rows = [json.loads(json.dumps(row)) for _ in range(chance.randint(1, 3))]
    document: Any = {"meta": {"api-version": "1.1"}, "name": "torch", "files": rows, "versions": []}
    for _ in range(chance.randint(1, 4)):
        document = _mutated(document, chance)
    match chance.randrange(4):
        case 0:
            links = "".join(
                f'<a href="{chance.choice(TEXTS)}#sha256={chance.choice(TEXTS)}" '
                f'data-requires-python="{chance.choice(TEXTS)}" '
                f'data-yanked="{chance.choice(TEXTS)}" '
                f'data-upload-time="{chance.choice(TEXTS)}">'
                f"{chance.choice((row['filename'], *TEXTS))}</a>\n"
                for _ in range(chance.randint(0, 4))
            )
            deep = "<div>" * chance.choice((0, 0, 0, 3000))
            body = f"<!DOCTYPE html><html><body>{deep}{links}".encode("utf-8", "surrogatepass")
            kind = chance.choice(
                (HTML, "text/html; charset=" + chance.choice(("utf-7", "x", "utf-16")))
            )
            return kind, body
        case 1:
            return JSON, _flipped(json.dumps(document).encode(), chance)
        case 2:
            nested = chance.choice((b"[", b'{"a":')) * chance.choice((50, 100_000))
            return chance.choice((JSON, HTML)), nested
        case _:
            return chance.choice((JSON, JSON, "text/plain")), json.dumps(document).encode()


#: what a page of megabytes is made of
_ROWS: Final = (
    *(b"{},", b"[],", b"1,", b'"a",', b'{"a":{"b":[]}},'),
    b'{"filename":"torch-1-a-b-c.whl"},',
)
_TAGS: Final = (
    *(b"<p>", b"</p>", b"&amp;", b"<!---->", b"<p a b c d>", b"<a href=x>", b"<![CDATA[", b"x "),
    *(b"<", b"</", b"<a", b"<a ", b"<!--", b"<?", b'<a href="', b"<a b='", b"&#", b"&#x", b"<!d"),
    *(b"<script>", b"<textarea>", b"<title>", b"<a/", b"</a x", b"<!DOCTYPE [", b"<!ELEMENT a"),
    *(
        b"<br/>",
        b"<a></a>",
        b"<div><a></div>",
        b"\0",
        b"=",
        b'"',
        b"a=b ",
        b"<a a=",
        b"--!>",
        b"]]>",
    ),
    b'<a href="torch-2.10.0-cp312-cp312-manylinux_2_28_aarch64.whl#sha256=0">',
)
LARGE: Final = [
    (kind, unit, size)
    for size in (1 << 20, 1 << 22, 1 << 24)
    for kind, units in ((JSON, _ROWS), (HTML, _TAGS))
    for unit in units
]


def large_page(number: int) -> tuple[str, bytes]:
    """An index's page of 1 to 16 MiB: content type and body."""
    kind, unit, size = LARGE[number % len(LARGE)]
    many = unit * (size // len(unit))
    if kind == HTML:
        return kind, b"<!DOCTYPE html><html><body>" + many
    return kind, b'{"meta":{"api-version":"1.1"},"name":"torch","files":[' + many[:-1] + b"]}"


def _mutated(document: Any, chance: random.Random) -> Any:
    """Another value at some place of a document."""
    value = chance.choice((chance.choice(TEXTS), chance.choice(VALUES)))
    if not isinstance(document, dict | list) or not document or chance.random() < 0.08:
        return value
    copied = dict(document) if isinstance(document, dict) else list(document)
    keys = list(copied) if isinstance(copied, dict) else list(range(len(copied)))
    key = chance.choice(keys)
    match chance.randrange(8):
        case 0:
            del copied[key]
        case 1 if isinstance(copied, dict):
            copied[str(chance.choice(TEXTS))] = copied.pop(key)
        case 2 if isinstance(copied, list):
            copied.append(copied[key])
        case _:
            copied[key] = _mutated(copied[key], chance)
    return copied


def lock_text(sound: dict[str, Any], chance: random.Random) -> bytes:
    """A lock of a pull request, its digest computed anew."""
    content = {key: each for key, each in sound.items() if key not in {"schema", "digest"}}
    for _ in range(chance.randint(1, 3)):
        content = _mutated(content, chance)
    if not isinstance(content, dict):
        content = {"cells": content}
    try:
        digest = digest_of(content)
    except (UnicodeEncodeError, ValueError):
        digest = "0" * 64
    text = HEAD + json.dumps({"schema": 1, "digest": digest, **content}, default=str)
    raw = text.encode("utf-8", "surrogatepass")
    return _flipped(raw, chance) if chance.random() < 0.1 else raw


_NINE: Final = [f"*a{n}, " * 9 for n in range(12)]
_BOMBS: Final = (
    "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [{_NINE[n - 1]}]" for n in range(1, 12)),
    "a0: &a0 {x: 1}\n" + "\n".join(f"a{n}: &a{n} {{<<: [{_NINE[n - 1]}]}}" for n in range(1, 12)),
    "a: " + "[" * 50_000,
    "a: &a [*a]",
    "!!python/object/apply:os.system [x]",
    "\n".join("  " * depth + "a:" for depth in range(500)),
)


def feedstock_text(sound: Any, chance: random.Random) -> bytes:
    """A feedstock.yaml that somebody sent."""
    if chance.random() < 0.1:
        return f"{chance.choice(_BOMBS)}\n".encode()
    content = sound
    for _ in range(chance.randint(1, 3)):
        content = _mutated(content, chance)
    raw = json.dumps(content, default=str).encode("utf-8", "surrogatepass")
    return _flipped(raw, chance) if chance.random() < 0.15 else raw


@dataclass
class Line:
    """A feedstock in a folder of folders, its index, and a sound lock."""

    root: Path
    server: IndexServer
    project: Project
    sound: bytes
    document: dict[str, Any]
    feedstock: bytes

    def reset(self) -> None:
        """Bring feedstock and lock back to what is sound."""
        self.project.feedstock.write_bytes(self.feedstock)
        self.project.lock.write_bytes(self.sound)
        self.server.behaviour = Behaviour()
        forget_hosts()

    def outside(self) -> set[str]:
        """Names of what lies beside the folders that the line may write to."""
        own = ("a/b/c/feedstock", "a/b/c/cache", "a/b/c/channel", "index")
        names = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*"))
        return {name for name in names if not name.startswith(own)}


def opened(root: Path, server: IndexServer) -> Line:
    """Make a sound feedstock, three folders down."""
    for abi in _TORCH:
        RELEASE.wheel("torch", abi).write(server.folder)
        RELEASE.wheel("torchaudio", abi).write(server.folder)
    project = open_project(root / "a/b/c", server, ARM)
    lock = update_lock(project).lock
    render_feedstock(project)
    return Line(
        root=root,
        server=server,
        project=project,
        sound=project.lock.read_bytes(),
        document=to_document(lock),
        feedstock=project.feedstock.read_bytes(),
    )


def _try_wheel(line: Line, chance: random.Random) -> None:
    made = wheel(chance)
    name, content = made if isinstance(made, tuple) else (made.filename, made.content())
    path = line.server.folder / Path(name).name
    kept = path.read_bytes() if path.is_file() else None
    try:
        path.write_bytes(content)
        line.project.lock.unlink()  # a new feedstock: nothing known is tampered with
        update_lock(line.project)
        if line.project.lock.read_bytes() != line.sound:
            render_feedstock(line.project)
            if chance.random() < 0.02:
                _build(line)
    finally:
        if kept is None:
            path.unlink()
        else:
            path.write_bytes(kept)


def _build(line: Line) -> None:
    found = variants(line.project.declared(), line.project.known())
    chosen = [each for each in found if each.package == "torchaudio"]
    options = BuildOptions(channel=LocalChannel(line.root / "a/b/c/channel"), jobs=1, level=1)
    build_variants(line.project, chosen, options)


def _try_page(line: Line, chance: random.Random) -> None:
    _read_page(line, *page(chance))


def _try_large(line: Line, chance: random.Random) -> None:
    _read_page(line, *large_page(chance.randrange(len(LARGE))))


def _read_page(line: Line, kind: str, body: bytes) -> None:
    line.server.behaviour = Behaviour(page=(kind, body), etag=False)
    if update_lock(line.project).findings and line.project.lock.read_bytes() != line.sound:
        read_lock(line.project.lock)


def _try_lock(line: Line, chance: random.Random) -> None:
    line.project.lock.write_bytes(lock_text(line.document, chance))
    matrix_view(line.project.declared(), line.project.known())
    render_feedstock(line.project)


def _try_feedstock(line: Line, chance: random.Random) -> None:
    from ruamel.yaml import YAML  # noqa: PLC0415

    sound = YAML(typ="safe").load(line.feedstock.decode())
    line.project.feedstock.write_bytes(feedstock_text(sound, chance))
    declared = read_feedstock(line.project.feedstock)
    matrix_view(declared, line.project.known())
    render_feedstock(line.project)


KINDS: Final[dict[str, Callable[[Line, random.Random], None]]] = {
    "wheels": _try_wheel,
    "pages": _try_page,
    "large": _try_large,
    "locks": _try_lock,
    "feedstocks": _try_feedstock,
}


def run(kind: str, first: int, last: int) -> Result:
    """Try the inputs of these numbers."""
    result = Result()
    folder = Path(tempfile.mkdtemp(prefix="armtorch-hostile-"))
    try:
        with IndexServer(folder / "index") as server:
            line = opened(folder, server)
            before = line.outside()
            with asked_once(line.project):
                for number in range(first, last):
                    _one(kind, number, line, result)
                    if written := line.outside() ^ before:
                        result.failures.append(f"{kind} {number}: {written} changed")
                        break
    finally:
        shutil.rmtree(folder)
    if result.peak > BYTES:
        result.failures.append(f"{kind}: {result.peak:,} bytes of memory")
    return result


def _one(kind: str, number: int, line: Line, result: Result) -> None:
    started = time.monotonic()
    try:
        KINDS[kind](line, random.Random(f"{kind} {number}"))
    except ArmtorchError as error:
        result.refused += 1
        if not error.what or "Traceback" in str(error):
            result.failures.append(f"{kind} {number}: says nothing: {error!r}")
    except Exception:  # noqa: BLE001 - this is what is looked for
        lines = traceback.format_exc().splitlines()
        result.failures.append(f"{kind} {number}: {lines[-1][:200]} at {lines[-3].strip()[-90:]}")
    seconds = time.monotonic() - started
    result.tried += 1
    result.slowest = max(result.slowest, seconds)
    if seconds > SECONDS:
        result.failures.append(f"{kind} {number}: {seconds:.0f} s")
    line.reset()


def main() -> None:
    """Try a range of numbers and print what came of it; exit with 1 where something failed."""
    kind, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    result = run(kind, first, last)
    print(f"{kind} {first} to {last}: {result}")
    for failure in result.failures:
        print(f"  {failure}")
    sys.exit(bool(result.failures))


if __name__ == "__main__":
    main()
