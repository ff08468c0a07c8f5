"""Fetching wheels from a server that misbehaves, and what stays behind."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from generator.building import fetch, link_wheelhouse, place_of
from generator.building.policy import FetchPolicy
from generator.console import Silent, Task
from generator.errors import AbsentError, IntegrityError, StorageError, UnreachableError
from generator.model import Wheel
from tests.counts import count
from tests.faulty_server import FaultyServer, serve
from tests.tiny_recipes import wheel_of

pytestmark = pytest.mark.integration

NAME = "tiny-1.0-cp312-cp312-manylinux_2_28_aarch64.whl"
CONTENT = random.Random(1).randbytes(5_000_000)
WHEEL = wheel_of(NAME, CONTENT)
IMPATIENT = FetchPolicy(
    attempts=3, first_delay=0.01, longest_delay=0.05, longest_pause=2, progress=1
)


class Heard(Silent):
    """Remembers what was told and how far tasks came."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.done = 0

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    @contextmanager
    def task(self, *_: object, **__: object) -> Iterator[Task]:
        yield self

    def advance(self, amount: int) -> None:
        self.done += amount


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with serve({NAME: CONTENT}) as running:
        yield running


def get(
    root: Path,
    server: FaultyServer,
    heard: Heard | None = None,
    *,
    rehash: bool = False,
    wheel: Wheel = WHEEL,
) -> Path:
    found = fetch(
        [wheel],
        locate=lambda w: f"{server.url}/{w.filename}",
        root=root,
        narrator=heard or Heard(),
        jobs=2,
        rules=IMPATIENT,
        rehash=rehash,
    )
    return found[wheel.sha256]


def names(root: Path) -> list[str]:
    return sorted(p.name for p in root.rglob("*") if p.is_file())


def leave_part(root: Path, content: bytes, etag: str | None = '"v1"', url: str = "") -> Path:
    part = place_of(WHEEL, root).with_name(NAME + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    if etag is not None:
        key = hashlib.sha256(f"{url}/{NAME}".encode()).hexdigest()
        note = json.dumps({"url": key, "etag": etag})
        part.with_name(part.name + ".json").write_text(note)
    return part


def test_a_wheel_comes_once(tmp_path: Path, server: FaultyServer) -> None:
    heard = Heard()
    path = get(tmp_path, server, heard)
    assert path == tmp_path / WHEEL.sha256[:16] / NAME
    assert path.read_bytes() == CONTENT
    assert heard.done == len(CONTENT)
    assert not [name for name in names(tmp_path) if ".part" in name]
    get(tmp_path, server)
    assert len(server.asked) == 1


def test_several_at_once_each_file_once(tmp_path: Path, server: FaultyServer) -> None:
    contents = {f"tiny-{n}.0-cp312-cp312-linux_aarch64.whl": os.urandom(99_999) for n in range(9)}
    server.files |= contents
    wheels = [wheel_of(name, content) for name, content in contents.items()]
    found = fetch(
        [*wheels, *wheels],
        locate=lambda w: f"{server.url}/{w.filename}",
        root=tmp_path,
        narrator=Silent(),
        jobs=4,
        rules=IMPATIENT,
    )
    assert {found[w.sha256].read_bytes() for w in wheels} == set(contents.values())
    assert len(server.asked) == 9


def test_a_cut_transfer_goes_on_behind_what_came(tmp_path: Path, server: FaultyServer) -> None:
    server.cut = (1_500_000, 2)
    assert get(tmp_path, server).read_bytes() == CONTENT
    begins = [int(asked[6:-1] or 0) for _, asked, _ in server.asked]
    assert begins == sorted(begins)
    assert begins[1] > 1_400_000
    assert begins[2] > 2_800_000
    assert server.sent < len(CONTENT) * 1.05


def test_a_later_run_resumes(tmp_path: Path, server: FaultyServer) -> None:
    part = leave_part(tmp_path, CONTENT[:2_000_000], url=server.url)
    heard = Heard()
    assert get(tmp_path, server, heard).read_bytes() == CONTENT
    assert server.asked == [(f"/{NAME}", "bytes=2000000-", '"v1"')]
    assert heard.done == len(CONTENT)
    assert not part.exists()


def test_a_changed_file_is_fetched_whole(tmp_path: Path, server: FaultyServer) -> None:
    leave_part(tmp_path, b"older" * 1000, url=server.url)
    server.etag = '"v2"'
    heard = Heard()
    assert get(tmp_path, server, heard).read_bytes() == CONTENT
    assert [asked for _, asked, _ in server.asked] == ["bytes=5000-"]
    assert "fetched whole" in heard.warnings[0]
    assert heard.done == len(CONTENT)


def test_pieces_that_do_not_fit_are_fetched_whole(tmp_path: Path, server: FaultyServer) -> None:
    server.etag = ""
    leave_part(tmp_path, b"other" * 1000, etag=None)
    heard = Heard()
    assert get(tmp_path, server, heard).read_bytes() == CONTENT
    assert [asked for _, asked, _ in server.asked] == ["bytes=5000-", ""]
    assert "do not fit" in heard.warnings[0]


@pytest.mark.parametrize("extra", [0, 1000])
def test_a_part_that_is_whole_or_too_long(tmp_path: Path, server: FaultyServer, extra: int) -> None:
    leave_part(tmp_path, CONTENT + bytes(extra), url=server.url)
    assert get(tmp_path, server).read_bytes() == CONTENT
    assert len(server.asked) == (1 if extra else 0)


def test_a_server_without_ranges_starts_over_and_says_so(
    tmp_path: Path, server: FaultyServer
) -> None:
    server.ranges, server.cut = False, (1_000_000, 1)
    heard = Heard()
    assert get(tmp_path, server, heard).read_bytes() == CONTENT
    assert "does not resume" in heard.warnings[0]
    assert heard.done == len(CONTENT)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(tmp_path: Path, server: FaultyServer, status: int) -> None:
    server.refuse, server.headers = (status, 2), {"Retry-After": "0"}
    assert get(tmp_path, server).read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_a_server_that_stays_busy_is_unreachable(tmp_path: Path, server: FaultyServer) -> None:
    server.refuse = (503, 99)
    with pytest.raises(UnreachableError, match="503") as caught:
        get(tmp_path, server)
    assert len(server.asked) == IMPATIENT.attempts
    assert NAME in caught.value.where


def test_a_server_that_cuts_at_the_same_byte_is_unreachable(
    tmp_path: Path, server: FaultyServer
) -> None:
    server.ranges, server.cut = False, (1_000_000, 99)
    with pytest.raises(UnreachableError, match=r"ended early|Connection broken") as caught:
        get(tmp_path, server)
    assert " of 5000000 bytes are kept" in caught.value.what
    assert not place_of(WHEEL, tmp_path).exists()


def test_no_server_is_unreachable(tmp_path: Path, server: FaultyServer) -> None:
    gone = FaultyServer({}, url="http://127.0.0.1:9")  # discard: nothing listens
    with pytest.raises(UnreachableError, match="no usable answer"):
        get(tmp_path, gone)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_not_there_is_absent_and_not_retried(
    tmp_path: Path, server: FaultyServer, status: int
) -> None:
    server.refuse = (status, 1)
    with pytest.raises(AbsentError, match=str(status)):
        get(tmp_path, server)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "other",
    [b"x" + CONTENT[1:], CONTENT + b"x", b"<html>login</html>"],
    ids=["changed", "longer", "shorter"],
)
def test_other_bytes_leave_nothing_behind(
    tmp_path: Path, server: FaultyServer, other: bytes
) -> None:
    server.files[NAME] = other
    with pytest.raises((IntegrityError, UnreachableError)):
        get(tmp_path, server)
    assert not place_of(WHEEL, tmp_path).exists()
    if len(other) >= len(CONTENT):
        assert not [name for name in names(tmp_path) if ".part" in name]


def test_a_wheel_that_rots_is_found_when_asked(tmp_path: Path, server: FaultyServer) -> None:
    path = get(tmp_path, server)
    stat = path.stat()
    path.write_bytes(b"x" + CONTENT[1:])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    get(tmp_path, server)
    assert len(server.asked) == 1, "same size and time: trusted"
    heard = Heard()
    assert get(tmp_path, server, heard, rehash=True).read_bytes() == CONTENT
    assert "damaged" in heard.warnings[0]


def test_a_wheel_put_there_by_hand_is_hashed_not_fetched(
    tmp_path: Path, server: FaultyServer
) -> None:
    path = place_of(WHEEL, tmp_path)
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    get(tmp_path, server)
    path.write_bytes(CONTENT[:-1])
    assert get(tmp_path, server).read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_local_file_is_copied_and_verified(tmp_path: Path) -> None:
    source = tmp_path / NAME
    source.write_bytes(CONTENT)
    root = tmp_path / "root"

    def locate(wheel: Wheel) -> str:
        return str(tmp_path / wheel.filename)

    fetch([WHEEL], locate=locate, root=root, narrator=Silent(), jobs=1)
    assert place_of(WHEEL, root).read_bytes() == CONTENT
    other = wheel_of(NAME, b"not this")
    with pytest.raises(IntegrityError, match=other.sha256):
        fetch([other], locate=locate, root=root, narrator=Silent(), jobs=1)
    assert not place_of(other, root).exists()
    source.unlink()
    with pytest.raises(AbsentError):
        fetch([other], locate=locate, root=root, narrator=Silent(), jobs=1)


def test_no_space_is_known_beforehand(tmp_path: Path, server: FaultyServer) -> None:
    huge = Wheel(**{**vars(WHEEL), "size": 1 << 60})
    with pytest.raises(StorageError, match="are free"):
        get(tmp_path, server, wheel=huge)
    assert server.asked == []


def test_a_root_that_cannot_be_is_a_storage_error(tmp_path: Path, server: FaultyServer) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Not a directory"):
        get(tmp_path / "file" / "wheelhouse", server)


FETCH = """
import sys
from pathlib import Path
from generator.building import fetch
from generator.console import Silent
from tests.integration.test_wheelhouse import WHEEL
root, url = sys.argv[1:]
fetch([WHEEL], locate=lambda w: f"{url}/{w.filename}", root=Path(root), narrator=Silent(), jobs=1)
"""


def start(root: Path, server: FaultyServer) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", FETCH, str(root), server.url])


def test_two_processes_fetch_a_file_once(tmp_path: Path, server: FaultyServer) -> None:
    both = [start(tmp_path, server) for _ in range(2)]
    assert [process.wait(300) for process in both] == [0, 0]
    assert len(server.asked) == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_anywhere_it_leaves_only_a_part(
    tmp_path: Path, server: FaultyServer, how: signal.Signals
) -> None:
    dice = random.Random(7)
    for _ in range(count("kills")):
        server.cut = (dice.randrange(len(CONTENT)), dice.randrange(3))
        server.refuse = (503, dice.randrange(2))
        process = start(tmp_path, server)
        time.sleep(dice.uniform(0.2, 0.9))
        process.send_signal(how)
        process.wait(300)
        target = place_of(WHEEL, tmp_path)
        if target.exists():
            assert hashlib.sha256(target.read_bytes()).hexdigest() == WHEEL.sha256
            target.unlink()
    server.cut = server.refuse = (0, 0)
    assert get(tmp_path, server).read_bytes() == CONTENT


def test_the_repository_shows_the_wheelhouse(tmp_path: Path, server: FaultyServer) -> None:
    root, repo = tmp_path / "root", tmp_path / "repo"
    repo.mkdir()
    path = get(root, server)
    link = link_wheelhouse(repo, root, [WHEEL])
    assert link.is_symlink()
    assert (link / path.relative_to(root)).read_bytes() == CONTENT
    moved = tmp_path / "moved"
    root.rename(moved)
    link_wheelhouse(repo, moved, [WHEEL])
    assert link.readlink() == moved
    assert names(repo) == []


def test_a_real_wheelhouse_folder_is_filled_not_replaced(
    tmp_path: Path, server: FaultyServer
) -> None:
    repo = tmp_path / "repo"
    (repo / "wheelhouse").mkdir(parents=True)
    (repo / "wheelhouse" / "mine.txt").write_text("keep")
    get(tmp_path / "root", server)
    for _ in range(2):
        link = link_wheelhouse(repo, tmp_path / "root", [WHEEL])
    assert not link.is_symlink()
    assert place_of(WHEEL, link).read_bytes() == CONTENT
    assert names(link) == sorted(["mine.txt", NAME])
