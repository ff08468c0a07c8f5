"""Archives that `armtorch verify` must refuse with a reason, whatever they claim to be."""

from __future__ import annotations

import tarfile

import pytest

from generator.inspecting import verify_package
from tests.packages import nothing, pack, tar_of, write_conda


def sized_tar(size: int, kind: bytes = tarfile.REGTYPE, pax: dict[str, str] | None = None) -> bytes:
    """A tar that declares an entry of ``size`` bytes and does not have them."""
    entry = tarfile.TarInfo("lib/large")
    entry.size, entry.type, entry.pax_headers = size, kind, pax or {}
    return entry.tobuf(tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT) + bytes(1024)


OK = tar_of([("info/index.json", b"{}")])
ARCHIVES = {
    "upwards": (tar_of([("../evil", b"x")]), OK, "unsafe path"),
    "absolute": (tar_of([("/etc/evil", b"x")]), OK, "unsafe path"),
    "within": (tar_of([("lib/../../evil", b"x")]), OK, "unsafe path"),
    "drive": (tar_of([("C:/evil", b"x")]), OK, "unsafe path"),
    "backslash": (tar_of([("lib\\evil", b"x")]), OK, "unsafe path"),
    "control": (tar_of([("lib/\nevil", b"x")]), OK, "unsafe path"),
    "long": (tar_of([("x/" * 2500 + "y", b"x")]), OK, "unsafe path"),
    "twice": (tar_of([("lib/a", b"x"), ("lib/a", b"y")]), OK, "two entries"),
    "link, then through it": (
        tar_of([("lib/a", "/etc"), ("lib/a/passwd", b"x")]),
        OK,
        "leads through",
    ),
    "folder, then link": (tar_of([("lib/a/b", b"x"), ("lib/a", "/etc")]), OK, "two entries"),
    "info upwards": (OK, tar_of([("info/../../evil", b"x")]), "unsafe path"),
    "4 GB that are not there": (sized_tar(4 << 30), OK, "ends within a file"),
    "sparse": (sized_tar(0, tarfile.GNUTYPE_SPARSE), OK, "a sparse file"),
    "sparse by pax": (
        sized_tar(0, pax={"GNU.sparse.major": "1", "GNU.sparse.realsize": str(4 << 30)}),
        OK,
        "a sparse file",
    ),
    "1 TB": (sized_tar(1 << 40), OK, "bytes"),
    "a name of 4 GB": (sized_tar(4 << 30, tarfile.GNUTYPE_LONGNAME), OK, "extended header"),
    "hard link": (sized_tar(0, tarfile.LNKTYPE), OK, "a hard link"),
    "device": (sized_tar(0, tarfile.CHRTYPE), OK, "a device"),
    "bytes behind the end": (OK + b"more" * 300, OK, "behind its end"),
    "no tar": (b"x" * 2048, OK, "number where one belongs"),
    "no end": (OK[:512], OK, "ends"),
    "info bomb": (OK, tar_of([("info/index.json", bytes(9 << 20))]), "of metadata"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_an_unsafe_or_damaged_tar_is_refused_with_the_reason(tmp_path, case):
    pkg, info, reason = ARCHIVES[case]
    path = write_conda(tmp_path / "p-1-0.conda", pkg, info)
    proof = verify_package(path, nothing)
    assert proof.verdict == "refuted"
    assert any(reason in flaw.what for flaw in proof.flaws), proof.flaws
    assert all(flaw.file for flaw in proof.flaws)
    assert list(tmp_path.iterdir()) == [path]


def bomb(content: bytes) -> bytes:
    return pack(content + bytes(300 << 20))


FILES = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "half of it": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "empty": lambda path: path.write_bytes(b""),
    "html": lambda path: path.write_bytes(b"<html>not found</html>"),
    "zstd cut off": lambda path: write_conda(path, OK, OK, packed=lambda tar: pack(tar)[:-5]),
    "no zstd": lambda path: write_conda(path, OK, OK, packed=lambda _: b"no zstd"),
    "zstd and more": lambda path: write_conda(path, OK, OK, packed=lambda t: pack(t) + b"more"),
    "bomb": lambda path: write_conda(path, OK, OK, packed=bomb),
    "a fourth member": lambda path: write_conda(path, OK, OK, more={"evil": b"x"}),
    "two of a kind": lambda path: write_conda(path, OK, OK, more={"pkg-x.tar.zst": pack(OK)}),
}


@pytest.mark.parametrize("case", FILES)
def test_a_damaged_file_is_refused_with_the_reason(tmp_path, case):
    path = write_conda(tmp_path / "p-1-0.conda", OK, OK)
    FILES[case](path)
    proof = verify_package(path, nothing)
    assert proof.verdict == "refuted"
    assert proof.flaws[0].file.startswith("p-1-0.conda")
    assert proof.flaws[0].what
