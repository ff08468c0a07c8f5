"""`python -m tests.nasty_archives`: writes tests/corpus/ anew, the seeds of the archive fuzzers.

Each is small, and wrong in a way of its own, or sound, so that mutations start near the readers'
inner parts. Names: what it is, and whether it is a wheel (.whl) or a package (.conda).
"""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import zstandard

from tests.packages import Parts, pack, tar_of, write_conda
from tests.tiny_wheels import TinyWheel, record_hash, write_zip

#: seconds, 2 Jan 2026
WHEN = 1767323046
FOLDER = Path(__file__).with_name("corpus")


def wheel(*members: tuple[str, bytes], record: bytes | None = None) -> list[tuple[str, bytes]]:
    """The members of a wheel, RECORD last."""
    tiny = TinyWheel(project="x", version="1", tag="py3-none-any")
    found = [*members, *tiny.contents().items()]
    if record is None:
        rows = [f"{name},{record_hash(content)},{len(content)}\n" for name, content in found]
        record = "".join([*rows, f"{tiny.dist_info}/RECORD,,\n"]).encode()
    return [*found, (f"{tiny.dist_info}/RECORD", record)]


def write_wheels(folder: Path) -> None:
    write_zip(folder / "sound.whl", wheel(("x/__init__.py", b"x = 1\n")))
    write_zip(folder / "upwards.whl", wheel(("../x", b"x")))
    write_zip(folder / "quoted.whl", wheel(record=b'"a,\n"b",,\n'))
    write_zip(folder / "nul-byte.whl", wheel(record=b"a\0,,\n"))
    write_zip(folder / "bomb.whl", wheel(("x/zeros", bytes(1 << 20))))
    write_zip(folder / "no-utf8.whl", wheel(record=b"\xff,,\n"))
    with zipfile.ZipFile(folder / "lzma.whl", "w", zipfile.ZIP_LZMA) as archive:
        for name, content in wheel(("x/zeros", bytes(1 << 20))):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_LZMA)
    sound = (folder / "sound.whl").read_bytes()
    end = sound.rindex(b"PK\5\6")
    for name, field, value in (
        ("many-members.whl", "<HH", (0xFFFF, 0xFFFF)),
        ("directory-of-4-gb.whl", "<II", (0xFFFFFFFF, 0)),
    ):
        place = end + (8 if field == "<HH" else 12)
        size = struct.calcsize(field)
        changed = sound[:place] + struct.pack(field, *value) + sound[place + size :]
        (folder / name).write_bytes(changed)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, 2**63, 1)
    (folder / "zip64-outside.whl").write_bytes(sound[:end] + locator + sound[end:])


def header(size: int, kind: bytes, name: str = "x") -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.GNU_FORMAT)


def write_packages(folder: Path) -> None:
    info = {
        "info/index.json": b'{"name": "x", "version": "1", "build": "0"}',
        "info/paths.json": b'{"paths": [], "paths_version": 1}',
    }
    Parts("x-1-0.conda", {}, info, WHEN).write(folder).replace(folder / "sound.conda")
    empty = tar_of([])
    deep = b"[" * 100_000
    many = b"[" + b"{}," * 50_000 + b"{}]"
    for name, more in (
        ("deep-json.conda", {"info/paths.json": deep}),
        ("many-json.conda", {"info/paths.json": many}),
        (
            "deep-manifest.conda",
            {"info/armtorch/manifest.json": deep, "info/armtorch/RECORD": b""},
        ),
        ("numbers.conda", {"info/paths.json": b'{"paths": [1e999, NaN, -0]}'}),
    ):
        Parts(name, {}, {**info, **more}, WHEN).write(folder)
    for name, pkg, about in (
        ("long-name.conda", header(1 << 33, tarfile.GNUTYPE_LONGNAME), empty),
        (
            "endless-pax.conda",
            header(20, tarfile.XHDTYPE) + b"999999999 path=x\n".ljust(512),
            empty,
        ),
        ("zero-pax.conda", header(12, tarfile.XHDTYPE) + b"0 path=x\n\n\n\n".ljust(512), empty),
        ("negative.conda", header(0, tarfile.REGTYPE).replace(b"0" * 11, b"-" + b"7" * 10), empty),
        ("size-of-2-to-80.conda", header(1 << 80, tarfile.REGTYPE), empty),
        ("folders.conda", tar_of([("/".join("abcdefgh" * 20), b"x")]), empty),
    ):
        write_conda(folder / name, pkg, about)
    window = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    )
    write_conda(folder / "window-of-1-gb.conda", empty, empty, packed=window.compress)
    write_conda(
        folder / "zeros.conda", empty, empty, packed=lambda tar: pack(tar + bytes(70 << 20))
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("metadata.json", "pkg-x.tar.zst", "info-x.tar.zst"):
            archive.writestr(name, bytes(1 << 20))
    (folder / "deflated.conda").write_bytes(buffer.getvalue())


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    write_wheels(FOLDER)
    write_packages(FOLDER)


if __name__ == "__main__":
    main()
