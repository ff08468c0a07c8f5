"""What faults leave behind: kill -9, dropped requests, a full disk, a second publisher."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from generator.channel import LocalChannel
from tests import servers
from tests.counts import count
from tests.own_feedstock import DECLARED
from tests.published import (
    SUBDIR,
    Read,
    assert_consistent,
    assert_solves,
    folder_reader,
    make_packages,
    s3_reader,
)

pytestmark = pytest.mark.integration
NAMES = tuple(f"pkg{number:02}" for number in range(12))


@pytest.fixture(scope="module")
def feedstock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("feedstock") / "feedstock.yaml"
    path.write_text(DECLARED.read_text())
    return path


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> tuple[LocalChannel, LocalChannel]:
    """Two publishers' channels: half of the packages each."""
    found = []
    for half in (NAMES[::2], NAMES[1::2]):
        channel = LocalChannel(tmp_path_factory.mktemp("source") / "channel")
        make_packages(channel, half, size=300_000)
        found.append(channel)
    return found[0], found[1]


@pytest.fixture(scope="module")
def bucket():
    with servers.s3() as found:
        yield found


def publisher(
    feedstock: Path, source: LocalChannel, to: str, env: dict[str, str]
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "generator", "--feedstock", str(feedstock), "publish"]
    return subprocess.Popen(
        [*command, "--from", str(source.root), "--to", to],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )


def finish(process: subprocess.Popen[str]) -> None:
    _, err = process.communicate(timeout=servers.PATIENCE)
    assert process.returncode == 0, err


def kill_after(
    process: subprocess.Popen[str], packages: int, read: Read, chance: random.Random
) -> bool:
    """Kill -9 a moment after so many packages are there; return whether it still ran.

    What there is says how far a publisher has come. Its clock does not, on a machine whose load
    changes: a publisher that is slower or faster than the one before would never be met at work.
    """
    end = time.monotonic() + servers.PATIENCE
    awaited = files(NAMES[::2])
    stop = len(awaited) - packages
    while process.poll() is None and len(awaited) > stop:
        assert time.monotonic() < end, "no package came"
        time.sleep(0.01)
        awaited = {name for name in awaited if read(f"{SUBDIR}/{name}") is None}
    time.sleep(chance.uniform(0, 0.3) * (packages > 1))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a count past pytest's capture."""

    def shown(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="")

    return shown


def place_for(kind: str, name: str, tmp_path: Path, bucket: servers.Bucket):
    if kind == "folder":
        root = tmp_path / name
        return str(root), folder_reader(root), root.as_uri(), {}
    return (
        f"s3://bucket/{name}",
        s3_reader(bucket.operator(name)),
        bucket.url(name),
        (bucket.environment),
    )


def files(names: tuple[str, ...]) -> set[str]:
    return {f"{name}-1.0-0.conda" for name in names}


def held(read: Read) -> set[str]:
    found = assert_consistent(read)
    assert found <= files(NAMES)
    return found


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_kill_9_at_any_moment(kind, feedstock, sources, bucket, tmp_path, say):
    chance = random.Random(20261122)
    own = files(NAMES[::2])
    killed, partial, tries = 0, 0, count("publish_kills")
    for number in range(tries):
        to, read, url, env = place_for(kind, f"kill-{kind}-{number}", tmp_path, bucket)
        process = publisher(feedstock, sources[0], to, env)
        # the first one is met at its first package; others at any, and in the index after the last
        packages = 1 if number == 0 else chance.randint(0, len(own))
        killed += kill_after(process, packages, read, chance)
        before = held(read)
        partial += before < own
        finish(publisher(feedstock, sources[0], to, env))
        assert held(read) == own
        if number == 0:
            assert_solves(url, NAMES[::2])
    assert killed, "no publisher was killed while it ran"
    say(f"{kind}: {killed} of {tries} killed, {partial} before the index was whole")


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_publishers_at_once_lose_nothing(kind, feedstock, sources, bucket, tmp_path, say):
    pairs = count("publish_pairs")
    for number in range(pairs):
        to, read, url, env = place_for(kind, f"pair-{kind}-{number}", tmp_path, bucket)
        # the third has what the first one has, as a job that is run again
        every = [publisher(feedstock, source, to, env) for source in (*sources, sources[0])]
        for process in every:
            finish(process)
        assert held(read) == files(NAMES)
        if number == 0:
            assert_solves(url, NAMES)
    say(f"{kind}: {pairs} times three publishers at once, {pairs * len(NAMES)} packages, none lost")


def test_a_publisher_that_is_killed_beside_another_one_harms_nobody(
    feedstock, sources, bucket, tmp_path, say
):
    chance = random.Random(7)
    killed, pairs = 0, count("publish_pairs")
    for number in range(pairs):
        to, read, _, env = place_for("s3", f"beside-{number}", tmp_path, bucket)
        first, second = (publisher(feedstock, source, to, env) for source in sources)
        killed += kill_after(first, chance.randint(1, len(NAMES) // 2), read, chance)
        finish(second)
        assert held(read) >= files(NAMES[1::2])
        finish(publisher(feedstock, sources[0], to, env))
        assert held(read) == files(NAMES)
    say(f"s3: {killed} of {pairs} killed beside another publisher, nothing lost")


def test_a_network_that_drops_every_fifth_request(feedstock, sources, bucket, tmp_path, say):
    for number in range(count("publish_drops")):
        _, read, url, env = place_for("s3", f"drop-{number}", tmp_path, bucket)
        with servers.dropping(bucket.endpoint, every=5) as proxy:
            env = {**env, "AWS_ENDPOINT_URL": proxy.endpoint}
            finish(publisher(feedstock, sources[0], f"s3://bucket/drop-{number}", env))
        assert proxy.dropped >= 3
        assert held(read) == files(NAMES[::2])
        if number == 0:
            assert_solves(url, NAMES[::2])
        say(f"{proxy.dropped} of {proxy.seen} requests dropped, {len(NAMES) // 2} packages there")


def test_a_full_disk_leaves_the_channel_as_it_was(feedstock, sources, tmp_path, say):
    """On a small file system of its own: nobody's disk is filled."""
    small = tmp_path / "small"
    small.mkdir()
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    options = f"size=1500k,uid={os.geteuid()},gid={os.getegid()}"
    mount = [*as_root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(small)]
    # the shell says it where there is no sudo
    mounted = subprocess.run(["sh", "-c", '"$@"', "sh", *mount], capture_output=True, check=False)
    if mounted.returncode != 0:  # a right that no installation gives
        pytest.skip(f"no small file system: {mounted.stderr.decode().strip()}")
    try:
        root = small / "channel"
        read = folder_reader(root)
        process = publisher(feedstock, sources[0], str(root), {})
        _, err = process.communicate(timeout=servers.PATIENCE)
        assert process.returncode == 30, err
        assert "space" in err
        first = held(read)
        assert first < files(NAMES[::2])
        enlarged = [*as_root, "mount", "-o", "remount,size=20m", str(small)]
        subprocess.run(enlarged, check=True)
        finish(publisher(feedstock, sources[0], str(root), {}))
        assert held(read) == files(NAMES[::2])
        assert_solves(root.as_uri(), NAMES[::2])
        say(f"a full disk after {len(first)} of {len(NAMES) // 2} packages, then all of them")
    finally:
        subprocess.run([*as_root, "umount", str(small)], check=True)
