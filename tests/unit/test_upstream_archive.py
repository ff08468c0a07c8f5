"""Archives that must not be unpacked, and RECORDs that do not fit."""

from __future__ import annotations

import csv
import io
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.documents import read_member
from generator.errors import IntegrityError, MalformedError, UnsafeArchiveError
from generator.upstream.archive import (
    check_directory,
    check_record,
    parse_record,
    unsafe_name,
)
from tests.counts import count
from tests.synthetic_wheels.archive import WHEN
from tests.tiny_wheels import TinyWheel, record_hash, tiny_torch, write_zip


def infos(path: Path) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(path) as archive:
        return archive.infolist()


def check(path: Path, ratio: float = 20) -> None:
    check_directory(infos(path), archive_size=path.stat().st_size, ratio=ratio, where=path.name)


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "torch/../../evil",
        "/etc/passwd",
        "C:/windows/evil",
        "c:evil",
        "torch\\..\\evil",
        "torch//lib",
        "./torch",
        "torch/.",
        "torch/\x00evil",
        "torch/\nevil",
        "",
    ],
)
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / "bad.whl", [("torch/ok", b"1"), (name or "/", b"2")])
    with pytest.raises(UnsafeArchiveError) as caught:
        check(path)
    assert caught.value.exit_code == 14
    assert caught.value.where == "bad.whl"
    assert unsafe_name(name) is not None


@given(
    st.lists(
        st.text(alphabet="ab._- äö", min_size=1).filter(lambda s: s[-1] not in ". "),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=count("fuzz"))
def test_ordinary_names_are_allowed(parts: list[str]) -> None:
    assert unsafe_name("/".join(parts)) is None


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.whl"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("torch/link", WHEN)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UnsafeArchiveError, match="symbolic link"):
        check(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bad.whl", [("torch/a", b"1"), ("torch/a", b"2")])
    with pytest.raises(UnsafeArchiveError, match="occurs twice"):
        check(path)


def test_a_zip_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bomb.whl", [("torch/zeros", bytes(5_000_000))])
    with pytest.raises(UnsafeArchiveError, match="maximum_unpacked_ratio"):
        check(path)
    check(path, ratio=5000)


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bad.whl", [("torch/a", b"1" * 999), ("torch/b", b"2")])
    found = infos(path)
    found[1].header_offset = found[0].header_offset + 3
    with pytest.raises(UnsafeArchiveError, match="overlaps"):
        check_directory(found, archive_size=10**6, ratio=20, where="bad.whl")


def test_a_text_that_declares_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bad.whl", [("x.dist-info/RECORD", b"a,,\n")])
    with zipfile.ZipFile(path) as archive:
        archive.NameToInfo["x.dist-info/RECORD"].file_size = 1 << 40
        with pytest.raises(UnsafeArchiveError):
            read_member(archive, "x.dist-info/RECORD", "bad.whl")


def _records(wheel: TinyWheel, folder: Path) -> tuple[bytes, list[zipfile.ZipInfo], str]:
    return wheel.record_bytes(), infos(wheel.write(folder)), wheel.dist_info


def test_a_true_wheel_is_vouched_for(tmp_path: Path) -> None:
    wheel = tiny_torch("2.10.0", "cp312")
    record, found, dist_info = _records(wheel, tmp_path)
    members = parse_record(record, "w")
    check_record(members, found, dist_info, "w")
    assert members.keys() == wheel.contents().keys()
    assert members["torch/__init__.py"].size == len(wheel.contents()["torch/__init__.py"])


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda text: text.replace(b"torch/__init__.py", b"torch/__init2__.py"), "is in"),
        (lambda text: b"more.py," + record_hash(b"").encode() + b",0\n" + text, "not in the arch"),
        (lambda text: b"\n".join(text.split(b"\n")[1:]), "has no hash in RECORD"),
        (lambda text: text.replace(b",13\n", b",14\n"), "bytes in the archive and"),
    ],
)
def test_a_record_that_does_not_fit_is_an_integrity_error(
    tmp_path: Path, change: object, finding: str
) -> None:
    wheel = tiny_torch("2.10.0", "cp312", extra={"torch/thirteen": b"x" * 13})
    record, found, dist_info = _records(wheel, tmp_path)
    changed = change(record)  # type: ignore[operator]
    assert changed != record
    with pytest.raises(IntegrityError, match=finding):
        check_record(parse_record(changed, "w"), found, dist_info, "w")


@pytest.mark.parametrize(
    "record",
    [
        b"one,two\n",
        b"a,md5=abc,3\n",
        b"a,sha256=abc,3\n",
        b"\xff\xfe,,\n",
        b'a"b,,\n"x,,\n',
        b"a,,\na,,\n",
        b"a," + record_hash(b"").encode() + b",many\n",
    ],
)
def test_a_record_that_is_not_one_is_malformed(record: bytes) -> None:
    with pytest.raises(MalformedError, match="RECORD"):
        parse_record(record, "w")


@given(
    st.dictionaries(
        st.text(min_size=1).filter(lambda s: "\r" not in s and "\n" not in s and s.isprintable()),
        st.binary(max_size=20),
        max_size=6,
    )
)
@settings(max_examples=count("fuzz"))
def test_any_record_that_csv_writes_is_read_back(files: dict[str, bytes]) -> None:
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    for path, content in files.items():
        rows.writerow([path, record_hash(content), len(content)])
    found = parse_record(stream.getvalue().encode(), "w")
    assert {path: member.size for path, member in found.items()} == {
        path: len(content) for path, content in files.items()
    }
