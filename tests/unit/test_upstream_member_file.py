"""Members of remote wheels read in part: the same bytes as whole, and few of them asked for."""

from __future__ import annotations

import contextlib
import io
import random
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import MalformedError
from generator.upstream.deflate import inflate_ending
from generator.upstream.member_file import MemberFile
from tests.counts import count

MOST = 1 << 28


class Counting(io.BytesIO):
    """A file that knows which of its bytes were read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.kilobytes: set[int] = set()

    def read(self, size: int | None = -1) -> bytes:
        first = self.tell()
        content = super().read(size)
        self.kilobytes.update(range(first >> 10, (first + len(content) >> 10) + 1))
        return content


def library(seed: int, size: int) -> bytes:
    """Bytes as libraries have them: code, zeros, what cannot be packed, names like each other."""
    dice = random.Random(seed)
    words = [f"_ZN2at4_ops{dice.randrange(90)}conv4callE" for _ in range(200)]
    parts: list[bytes] = []
    while sum(len(part) for part in parts) < size:
        kind = dice.randrange(4)
        if kind == 0:
            parts.append(bytes(dice.choices(range(40), k=dice.randrange(60_000))))
        elif kind == 1:
            parts.append(bytes(dice.randrange(20_000)))
        elif kind == 2:
            parts.append(dice.randbytes(dice.randrange(90_000)))
        else:
            parts.append("\0".join(dice.choices(words, k=dice.randrange(4000))).encode())
    return b"".join(parts)[:size]


def archive(content: bytes, level: int = 6, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method, compresslevel=level) as written:
        written.writestr("before.txt", "x" * 500)
        written.writestr("torch/lib/libx.so", content)
        written.writestr("after.txt", "y" * 500)
    return file.getvalue()


def member(whole: bytes, most: int = MOST) -> tuple[MemberFile, Counting]:
    file = Counting(whole)
    info = zipfile.ZipFile(io.BytesIO(whole)).getinfo("torch/lib/libx.so")
    return MemberFile(file, info, most), file


@settings(max_examples=count("fuzz"), deadline=None)
@given(
    st.integers(0, 1 << 30),
    st.integers(0, 500_000),
    st.sampled_from([0, 1, 6, 9]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 70_000)), min_size=1, max_size=6),
)
def test_any_part_of_a_member_is_what_the_whole_has_there(seed, size, level, reads) -> None:
    content = library(seed, size)
    found, _ = member(archive(content, level))
    assert found.size == len(content)
    for share, length in reads:
        found.seek(int(share * size))
        place = int(share * size)
        assert found.read(length) == content[place : place + length]


@settings(max_examples=count("fuzz"), deadline=None)
@given(st.integers(0, 1 << 30), st.integers(1, 200_000), st.sampled_from([1, 6, 9]), st.data())
def test_an_ending_never_says_what_is_not_so(seed, size, level, data) -> None:
    content = library(seed, size)
    stream = zlib.compressobj(level, wbits=-15)
    packed = stream.compress(content) + stream.flush()
    cut = data.draw(st.integers(0, len(packed)))
    found = inflate_ending(packed[cut:], size, len(packed))
    if found is None:
        return
    start = size - len(found.content)
    assert start >= 0
    at = 0
    for first, last in [*found.unknown, (len(found.content), len(found.content))]:
        assert found.content[at:first] == content[start + at : start + first]
        assert found.knows(at, first)
        assert first == last or not found.knows(first, last)
        at = last


def test_what_stands_at_the_ends_costs_little() -> None:
    content = library(7, 12_000_000)
    whole = archive(content)
    for place in (0, 30_000, len(content) - 60_000, len(content) - 10):
        found, file = member(whole)
        found.seek(place)
        assert found.read(50_000) == content[place : place + 50_000]
        assert 1024 * len(file.kilobytes) < 0.15 * len(whole)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_without_any_compression_is_read_in_place(method) -> None:
    content = library(3, 2_000_000)
    found, file = member(archive(content, 0, method))
    found.seek(-100, io.SEEK_END)
    assert found.read() == content[-100:]
    if method == zipfile.ZIP_STORED:
        assert len(file.kilobytes) < 70


def test_a_member_that_is_not_what_the_directory_says_is_malformed() -> None:
    content = library(5, 400_000)
    whole = bytearray(archive(content))
    info = zipfile.ZipFile(io.BytesIO(whole)).getinfo("torch/lib/libx.so")
    for change in ({"file_size": 390_000}, {"file_size": 410_000}, {"compress_size": 5000}):
        wrong = zipfile.ZipFile(io.BytesIO(whole)).getinfo("torch/lib/libx.so")
        for name, value in change.items():
            setattr(wrong, name, value)
        with pytest.raises(MalformedError, match=r"torch/lib/libx\.so"):
            MemberFile(io.BytesIO(whole), wrong, MOST).read()
    whole[info.header_offset] ^= 1
    with pytest.raises(MalformedError, match="no header of its own"):
        MemberFile(io.BytesIO(whole), info, MOST).read(10)


def test_more_than_the_limit_is_not_inflated() -> None:
    whole = archive(bytes(8_000_000))
    found, _ = member(whole, most=1_000_000)
    with pytest.raises(MalformedError, match="deeper in it than 1,000,000 bytes"):
        found.read()


@settings(max_examples=count("flips"), deadline=None)
@given(st.integers(0, 1 << 30), st.integers(0, 2000), st.integers(1, 255))
def test_a_damaged_member_is_read_or_malformed(seed, place, change) -> None:
    content = library(seed % 20, 120_000)
    whole = bytearray(archive(content))
    info = zipfile.ZipFile(io.BytesIO(whole)).getinfo("torch/lib/libx.so")
    at = info.header_offset + 60 + place % info.compress_size
    whole[at % len(whole)] ^= change
    for first in (0, 60_000, 119_990):
        found = MemberFile(io.BytesIO(whole), info, MOST)
        found.seek(first)
        with contextlib.suppress(MalformedError):
            assert len(found.read(10)) == 10
