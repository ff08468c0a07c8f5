"""Servers that change their manners while, or after, a wheel's directory was read by ranges."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.errors import IntegrityError, UnreachableError
from tests.index_server import Behaviour, IndexServer
from tests.integration.test_update_wheels import BIG, NOISE, read
from tests.integration.updating import offer_of, opened, reader_of
from tests.tiny_wheels import tiny_torch

pytestmark = pytest.mark.integration

LIBRARY = "torch/lib/libbig.so"
#: so many members that their directory is longer than a tail, so that a second range is wanted
MANY = tiny_torch(
    "2.10.0",
    "cp312",
    extra={f"torch/include/{n:05}/{'x' * 60}.h": str(n).encode() for n in range(1500)},
)


def test_ranges_that_end_after_the_directory_was_kept(tmp_path: Path) -> None:
    size = BIG.write(tmp_path / "w").stat().st_size
    with IndexServer(tmp_path / "w") as server, opened(tmp_path) as web:
        offer = offer_of(server, BIG, tmp_path)
        reader = reader_of(web, tmp_path)
        expected = reader.members(offer)[LIBRARY]
        server.behaviour.ranges = False
        assert reader.member(offer, LIBRARY, expected) == NOISE
        assert web.traffic.wheels[BIG.filename] <= 2 * size


def test_ranges_that_end_between_the_tail_and_the_directory(tmp_path: Path) -> None:
    MANY.write(tmp_path / "w")
    asked = []

    def only_once(path: str) -> None:
        asked.append(path)
        server.behaviour.ranges = asked.count(f"/files/{MANY.filename}") < 2

    with IndexServer(tmp_path / "w") as server:
        server.behaviour.hook = only_once
        facts = read(server, MANY, tmp_path)
    assert not server.behaviour.ranges
    assert facts.metadata.origin == "range"


def test_a_file_that_changed_before_the_ranges_ended_is_noticed(tmp_path: Path) -> None:
    path = BIG.write(tmp_path / "w")
    with IndexServer(tmp_path / "w") as server, opened(tmp_path) as web:
        offer = offer_of(server, BIG, tmp_path)
        reader = reader_of(web, tmp_path)
        expected = reader.members(offer)[LIBRARY]
        server.behaviour.ranges = False
        path.write_bytes(path.read_bytes() + b"more")
        with pytest.raises(IntegrityError, match="changed while it was read"):
            reader.member(offer, LIBRARY, expected)
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(IntegrityError, match="changed while it was read"):
            reader.member(offer, LIBRARY, expected)


def test_parts_that_come_compressed_are_read_as_what_they_are(tmp_path: Path) -> None:
    BIG.write(tmp_path / "w")
    with IndexServer(tmp_path / "w", Behaviour(coded_ranges=True)) as server:
        assert "libbig.so" in read(server, BIG, tmp_path).libraries


def test_a_part_that_is_longer_than_asked_for_is_not_read_to_its_end(tmp_path: Path) -> None:
    BIG.write(tmp_path / "w")
    behaviour = Behaviour(longer_ranges=32 << 20)
    with IndexServer(tmp_path / "w", behaviour) as server, opened(tmp_path) as web:
        offer = offer_of(server, BIG, tmp_path)
        with pytest.raises(UnreachableError, match="other than asked for"):
            reader_of(web, tmp_path).wheel(offer)
        tries = server.requests[f"/files/{BIG.filename}"]
        assert web.traffic.bytes <= tries * (2 << 20)
