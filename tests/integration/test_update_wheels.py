"""Wheels read by ranges: how little is read, and what is refused."""

from __future__ import annotations

import zipfile
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from generator.errors import (
    AbsentError,
    ArmtorchError,
    IntegrityError,
    MalformedError,
    UnreachableError,
    UnsafeArchiveError,
)
from generator.upstream.archive import Member
from generator.upstream.facts import WheelFacts
from generator.upstream.offers import promised
from generator.upstream.remote_bytes import TAIL
from tests.index_server import Behaviour, Failure, IndexServer
from tests.integration.updating import Heard, offer_of, opened, reader_of
from tests.tiny_wheels import TinyWheel, record_hash, tiny_elf, tiny_torch, write_zip

pytestmark = pytest.mark.integration

#: bytes that do not compress, so that the archive is longer than a tail
NOISE = b"".join(record_hash(str(n).encode()).encode() for n in range(20_000))
BIG = tiny_torch("2.10.0", "cp312", extra={"torch/lib/libbig.so": NOISE})


def read(
    server: IndexServer, wheel: TinyWheel, cache: Path, heard: Heard | None = None
) -> WheelFacts:
    offer = offer_of(server, wheel, cache)
    with opened(cache) as web:
        return reader_of(web, cache, heard).wheel(offer)


def test_only_the_end_of_a_wheel_is_read(tmp_path: Path) -> None:
    size = BIG.write(tmp_path / "w").stat().st_size
    assert size > 6 * TAIL
    with IndexServer(tmp_path / "w") as server:
        facts = read(server, BIG, tmp_path)
        assert server.bytes[f"/files/{BIG.filename}"] <= TAIL
        assert server.requests[f"/files/{BIG.filename}"] == 1
        server.forget()
        assert read(server, BIG, tmp_path) == facts
        assert server.requests[f"/files/{BIG.filename}"] == 0  # the cache knows it by its sha256
    assert facts.console_scripts == ("torchrun = torch.distributed.run:main",)
    assert "libbig.so" in facts.libraries
    assert facts.metadata.origin == "range"
    assert facts.metadata.metadata.license_files == ("torch-2.10.0.dist-info/licenses/LICENSE",)
    assert (facts.size, facts.unpacked) == (
        size,
        sum(map(len, BIG.contents().values())) + len(BIG.record_bytes()),
    )


def test_a_directory_longer_than_the_tail_is_fetched_once(tmp_path: Path) -> None:
    many = tiny_torch(
        "2.10.0",
        "cp312",
        extra={f"torch/include/{n:05}/{'x' * 60}.h": str(n).encode() for n in range(1500)},
    )
    size = many.write(tmp_path / "w").stat().st_size
    with IndexServer(tmp_path / "w") as server:
        read(server, many, tmp_path)
        path = f"/files/{many.filename}"
        assert server.requests[path] <= 3
        assert server.bytes[path] < size


@pytest.mark.parametrize("as_json", [True, False])
def test_metadata_of_the_index_is_taken_when_offered(tmp_path: Path, as_json: bool) -> None:
    BIG.write(tmp_path / "w")
    with IndexServer(tmp_path / "w", Behaviour(metadata=True, json=as_json)) as server:
        offer = offer_of(server, BIG, tmp_path)
        with opened(tmp_path) as web:
            reader = reader_of(web, tmp_path)
            facts = reader.metadata(offer)
            assert server.requests[f"/files/{BIG.filename}"] == 0
            assert facts.origin == "pep658"
            assert reader.wheel(offer).metadata.sha256 == facts.sha256


def test_metadata_that_is_not_what_the_index_promised(tmp_path: Path) -> None:
    BIG.write(tmp_path / "w")
    with IndexServer(tmp_path / "w", Behaviour(metadata=True)) as server:
        offer = replace(offer_of(server, BIG, tmp_path), metadata_sha256="0" * 64)
        with opened(tmp_path) as web:
            with pytest.raises(IntegrityError, match="0000"):
                reader_of(web, tmp_path).metadata(offer)
            with pytest.raises(IntegrityError, match="METADATA"):
                reader_of(web, tmp_path).wheel(offer)


def test_a_server_without_ranges_costs_the_whole_file_and_is_named(tmp_path: Path) -> None:
    path = BIG.write(tmp_path / "w")
    heard = Heard()
    with IndexServer(tmp_path / "w", Behaviour(ranges=False)) as server:
        facts = read(server, BIG, tmp_path, heard)
        assert server.requests[f"/files/{BIG.filename}"] == 1
        assert server.bytes[f"/files/{BIG.filename}"] == path.stat().st_size
    assert facts.metadata.origin == "whole"
    assert len(heard.warned) == 1
    assert BIG.filename in heard.warned[0]


def test_a_whole_file_with_another_sha256_is_refused(tmp_path: Path) -> None:
    BIG.write(tmp_path / "w")
    behaviour = Behaviour(ranges=False, wrong_hashes={BIG.filename: "e" * 64})
    with (
        IndexServer(tmp_path / "w", behaviour) as server,
        pytest.raises(IntegrityError, match="e" * 64) as caught,
    ):
        read(server, BIG, tmp_path)
    assert caught.value.exit_code == 13
    assert not list((tmp_path / "facts").rglob("*.json"))


def test_a_stable_wheel_without_sha256_is_refused_with_a_way_out(tmp_path: Path) -> None:
    BIG.write(tmp_path / "w")
    with IndexServer(tmp_path / "w", Behaviour(hashes=False)) as server:
        offer = offer_of(server, BIG, tmp_path)
    promised(offer, "nightly")
    with pytest.raises(MalformedError, match="no sha256") as caught:
        promised(offer, "stable")
    assert BIG.filename in caught.value.what
    assert "folder" in caught.value.next_step


def test_a_body_that_breaks_off_is_asked_for_again(tmp_path: Path) -> None:
    BIG.write(tmp_path / "w")
    with IndexServer(tmp_path / "w", Behaviour(truncate=2, truncating="/files/.*")) as server:
        read(server, BIG, tmp_path)
        assert server.requests[f"/files/{BIG.filename}"] == 3


def test_a_body_that_ends_early_without_a_length_is_noticed(tmp_path: Path) -> None:
    BIG.write(tmp_path / "w")
    behaviour = Behaviour(truncate=1, truncating="/files/.*", lengths=False)
    with IndexServer(tmp_path / "w", behaviour) as server:
        read(server, BIG, tmp_path)
        assert server.requests[f"/files/{BIG.filename}"] == 2


@pytest.mark.parametrize("as_json", [True, False])
def test_a_server_that_sends_another_part_is_malformed(tmp_path: Path, as_json: bool) -> None:
    BIG.write(tmp_path / "w")
    behaviour = Behaviour(short_ranges=True, json=as_json)
    with (
        IndexServer(tmp_path / "w", behaviour) as server,
        pytest.raises(MalformedError, match="another part"),
    ):
        read(server, BIG, tmp_path)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_body_that_always_breaks_off_is_unreachable(tmp_path: Path, ranges: bool) -> None:
    BIG.write(tmp_path / "w")
    behaviour = Behaviour(truncate=99, truncating="/files/.*", ranges=ranges)
    with IndexServer(tmp_path / "w", behaviour) as server, pytest.raises(UnreachableError):
        read(server, BIG, tmp_path)


def test_a_file_of_another_length_is_refused(tmp_path: Path) -> None:
    BIG.write(tmp_path / "w")
    with IndexServer(tmp_path / "w") as server:
        offer = offer_of(server, BIG, tmp_path)
        with opened(tmp_path) as web:
            for size in (10_000, 10_000_000):
                with pytest.raises(IntegrityError):
                    reader_of(web, tmp_path).wheel(replace(offer, size=size))


def test_a_listed_file_that_is_gone_is_absent(tmp_path: Path) -> None:
    path = BIG.write(tmp_path / "w")
    with IndexServer(tmp_path / "w") as server:
        offer = offer_of(server, BIG, tmp_path)
        path.unlink()
        with opened(tmp_path) as web, pytest.raises(AbsentError):
            reader_of(web, tmp_path).wheel(offer)


def test_a_server_that_fails_while_a_wheel_is_read(tmp_path: Path) -> None:
    BIG.write(tmp_path / "w")
    behaviour = Behaviour(failures=deque([Failure(503)] * 99), failing="/files/.*")
    with (
        IndexServer(tmp_path / "w", behaviour) as server,
        pytest.raises(UnreachableError, match="503"),
    ):
        read(server, BIG, tmp_path)


def test_a_wheel_over_the_limit_is_not_even_asked_for(tmp_path: Path) -> None:
    BIG.write(tmp_path / "w")
    with IndexServer(tmp_path / "w") as server:
        offer = replace(offer_of(server, BIG, tmp_path), size=4_000_000_000)
        server.forget()
        with opened(tmp_path) as web, pytest.raises(UnsafeArchiveError, match="maximum_wheel"):
            reader_of(web, tmp_path).wheel(offer)
        assert server.log == []


def test_one_member_is_read_alone_and_checked(tmp_path: Path) -> None:
    library = tiny_elf(build_id=b"\2" * 20, body=NOISE[:300_000] + b"\0" + b"01:02:03" + b"\0x")
    twin = tiny_elf(build_id=b"\3" * 20, body=NOISE[:300_000] + b"\0" + b"11:12:13" + b"\0x")
    wheel = tiny_torch(
        "2.10.0", "cp312", extra={"torch/lib/libc10.so": library, "torch/lib/libbig.so": NOISE}
    )
    wheel.write(tmp_path / "w")
    with IndexServer(tmp_path / "w") as server, opened(tmp_path) as web:
        offer = offer_of(server, wheel, tmp_path)
        reader = reader_of(web, tmp_path)
        member = reader.members(offer)["torch/lib/libc10.so"]
        server.forget()
        assert reader.member(offer, "torch/lib/libc10.so", member, twin) == library
        assert server.bytes.total() < 10_000  # its beginning is enough beside its twin
        server.forget()
        assert reader.member(offer, "torch/lib/libc10.so", member, NOISE) == library
        assert server.requests.total() <= 2
        with pytest.raises(IntegrityError, match="libc10"):
            reader.member(offer, "torch/lib/libc10.so", Member("0" * 64, member.size), twin)


def spoiled(folder: Path, change: Callable[[list[tuple[str, bytes]]], None]) -> TinyWheel:
    """A wheel whose members were changed after its RECORD was written."""
    wheel = tiny_torch("2.10.0", "cp312")
    members = [*wheel.contents().items(), (f"{wheel.dist_info}/RECORD", wheel.record_bytes())]
    change(members)
    write_zip(folder / wheel.filename, members)
    return wheel


def _set(name: str, content: bytes) -> Callable[[list[tuple[str, bytes]]], None]:
    def change(members: list[tuple[str, bytes]]) -> None:
        index = next(i for i, (path, _) in enumerate(members) if path.endswith(name))
        members[index] = (members[index][0], content)

    return change


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("change", "error", "finding"),
    [
        (lambda m: m.append(("../../evil.py", b"x")), UnsafeArchiveError, "leaves"),
        (lambda m: m.append(("/etc/cron.d/evil", b"x")), UnsafeArchiveError, "absolute"),
        (lambda m: m.append(("C:\\evil", b"x")), UnsafeArchiveError, "drive"),
        (lambda m: m.append(("torch/__init__.py", b"x")), UnsafeArchiveError, "twice"),
        (lambda m: m.append(("torch/zeros", bytes(3_000_000))), UnsafeArchiveError, "unpacked"),
        (lambda m: m.append(("torch/more.py", b"x")), IntegrityError, "no hash in RECORD"),
        (lambda m: m.pop(0), IntegrityError, "not in the archive"),
        (_set("torch/__init__.py", b"print('evil')"), IntegrityError, "bytes in the archive"),
        (_set("METADATA", b"Name: torch\n"), IntegrityError, "METADATA"),
        (
            _set(
                "METADATA",
                tiny_torch("2.10.0", "cp312").metadata_bytes().replace(b"tests", b"TESTS"),
            ),
            IntegrityError,
            "METADATA does not have the sha256",
        ),
        (_set("RECORD", b"nonsense"), MalformedError, "RECORD"),
        (lambda m: m.pop(), MalformedError, "RECORD"),
        (lambda m: m.append(("other-1.dist-info/METADATA", b"")), MalformedError, "2 dist-info"),
        (lambda m: m.clear(), MalformedError, "0 dist-info"),
    ],
)
def test_bad_archives_are_refused_by_name(
    tmp_path: Path,
    change: Callable[[list[tuple[str, bytes]]], None],
    error: type[ArmtorchError],
    finding: str,
) -> None:
    wheel = spoiled(tmp_path / "w", change)
    with IndexServer(tmp_path / "w") as server, pytest.raises(error, match=finding) as caught:
        read(server, wheel, tmp_path)
    assert type(caught.value) is error
    assert caught.value.where.startswith(wheel.filename)
    assert caught.value.next_step


def test_metadata_that_cannot_be_parsed_is_malformed(tmp_path: Path) -> None:
    wheel = replace(
        tiny_torch("2.10.0", "cp312"),
        metadata=b"Metadata-Version: 2.1\nName: torch\nVersion: 2.10.0\nRequires-Dist: ===\n",
    )
    wheel.write(tmp_path / "w")
    with IndexServer(tmp_path / "w") as server, pytest.raises(MalformedError, match="metadata"):
        read(server, wheel, tmp_path)


def test_what_is_no_zip_is_malformed(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / BIG.filename).write_bytes(NOISE)
    with IndexServer(tmp_path / "w") as server, pytest.raises(MalformedError, match="not a zip"):
        read(server, BIG, tmp_path)


def test_a_broken_cache_is_read_anew(tmp_path: Path) -> None:
    BIG.write(tmp_path / "w")
    with IndexServer(tmp_path / "w") as server:
        facts = read(server, BIG, tmp_path)
        for path in (tmp_path / "facts").rglob("*.*"):
            path.write_bytes(b"{half")
        assert read(server, BIG, tmp_path) == facts


def test_a_local_wheel_is_read_where_it_is(tmp_path: Path) -> None:
    path = BIG.write(tmp_path / "w")
    with IndexServer(tmp_path / "w") as server, opened(tmp_path) as web:
        offer = replace(offer_of(server, BIG, tmp_path), url=path.as_uri())
        assert reader_of(web, tmp_path).wheel(offer).metadata.origin == "whole"
        gone = replace(offer, url=(tmp_path / "gone.whl").as_uri(), sha256="1" * 64)
        with pytest.raises(AbsentError):
            reader_of(web, tmp_path).wheel(gone)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
