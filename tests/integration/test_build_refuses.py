"""Wheels whose RECORD is true and whose libraries are not: the build names the file and stops."""

from __future__ import annotations

import hashlib

import pytest

from generator.building import Settings
from generator.channel import LocalChannel
from generator.errors import IntegrityError, LinkageError
from generator.inspecting.linkage import LinkageCheck
from generator.rendering import number_builds, render, write_tree
from tests.locks import Shelf, cpu_cell, feedstock
from tests.synthetic_wheels.elf import elf
from tests.tiny_recipes import build_all
from tests.tiny_wheels import record_hash, tiny_companion, tiny_elf

pytestmark = pytest.mark.integration
X86_64 = 62


def build_torchaudio(tmp_path, library: bytes, change=None):
    """Build torchaudio around a library, after ``change`` has been at the wheel in its place."""
    shelf = Shelf(tmp_path / "wheelhouse")
    cell = cpu_cell(shelf)
    tiny = tiny_companion("torchaudio", "9.1.0", "cp312", torch=None)
    members = {**tiny.members, "torchaudio/_C.so": library}
    wheel = shelf.add(type(tiny)(**{**vars(tiny), "members": members}))
    wheels = tuple(
        wheel if (each.project, str(each.python)) == ("torchaudio", "3.12") else each
        for each in cell.wheels
    )
    declared = feedstock()
    lock = shelf.lock(type(cell)(**{**vars(cell), "wheels": wheels}))
    lock = number_builds(declared, lock, None)
    tree = render(declared, lock)
    write_tree(tree, tmp_path)
    if change is not None:
        path = tmp_path / "wheelhouse" / wheel.sha256[:16] / wheel.filename
        path.write_bytes(change(path.read_bytes()))
    variant = next(
        each
        for each in tree.variants
        if each.package == "torchaudio" and str(each.python) == "3.12"
    )
    channel = LocalChannel(tmp_path / "channel")
    settings = Settings(
        repo=tmp_path,
        wheelhouse=tmp_path / "wheelhouse",
        level=1,
        jobs=1,
        audit=LinkageCheck(lock, tmp_path / "wheelhouse"),
    )
    return build_all([variant], channel=channel, settings=settings).rows[0]


def test_a_sound_library_is_packed(tmp_path):
    assert build_torchaudio(tmp_path, tiny_elf()).status == "built"


def test_a_library_for_another_machine_is_named(tmp_path):
    row = build_torchaudio(tmp_path, tiny_elf(machine=X86_64))
    assert isinstance(row.error, LinkageError)
    assert "torchaudio/_C.so" in str(row.error)
    assert not list((tmp_path / "channel").rglob("*.conda"))


def test_a_library_that_needs_what_its_torch_has_not_is_named(tmp_path):
    """METADATA goes with that torch, and so does all that can be read without the whole wheels."""
    row = build_torchaudio(tmp_path, elf(asks={"dlopen": "", "torch_new_stable_ivalue": ""}))
    assert isinstance(row.error, LinkageError)
    assert row.error.what.startswith("L-023 ")
    assert row.error.what.endswith("torch 9.1.0 has no torch_new_stable_ivalue")
    assert not list((tmp_path / "channel").rglob("*.conda"))


@pytest.mark.parametrize("place", [0x20, 0x38])
def test_a_library_with_corrupt_headers_is_named(tmp_path, place):
    """Program headers far outside, or more than there is room for."""
    library = bytearray(tiny_elf())
    library[place : place + 2] = b"\xff\x7f"
    row = build_torchaudio(tmp_path, bytes(library))
    assert isinstance(row.error, LinkageError)
    assert "torchaudio/_C.so" in str(row.error)


def test_a_wheel_changed_by_one_byte_is_not_the_locks(tmp_path):
    row = build_torchaudio(
        tmp_path, tiny_elf(body=b"x" * 64), lambda old: old[:80] + b"#" + old[81:]
    )
    assert isinstance(row.error, IntegrityError)


def test_a_wheel_changed_together_with_its_record_is_not_the_locks(tmp_path):
    """Its own RECORD would fit; the sha256 that the lock has of the wheel does not."""
    sound, evil = tiny_elf(body=b"sound"), tiny_elf(body=b"evil!")

    def exchange(old: bytes) -> bytes:
        tiny = tiny_companion("torchaudio", "9.1.0", "cp312", torch=None)
        members = {**tiny.members, "torchaudio/_C.so": evil}
        shelf = Shelf(tmp_path / "other")
        other = shelf.add(type(tiny)(**{**vars(tiny), "members": members}))
        new: bytes = (tmp_path / "other" / other.sha256[:16] / other.filename).read_bytes()
        assert hashlib.sha256(new).digest() != hashlib.sha256(old).digest()
        assert record_hash(evil) != record_hash(sound)
        return new

    row = build_torchaudio(tmp_path, sound, exchange)
    assert isinstance(row.error, IntegrityError)
    assert not list((tmp_path / "channel").rglob("*.conda"))
