"""Channels over HTTP: sharded or plain, cached, absent, silent or nonsense (decision D7)."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler

import pytest
import zstandard
from rattler.index import index_fs

from generator.explaining import Access, Channels, Context, explain, lines_of, read_request
from generator.testing import Machine
from tests import servers, tiny_repodata
from tests.tiny_repodata import record

pytestmark = pytest.mark.integration

ARM = Machine(subdir="linux-aarch64", virtual_packages=("__linux=6.1", "__glibc=2.36"))
#: seconds for one answer: more than a busy machine takes, and what one that never comes costs
TIMEOUT, SHORT = 120, 2


class _Handler(SimpleHTTPRequestHandler):
    status: int | None = None
    seen: list[str]

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.seen.append(self.path)
        if self.status is not None:
            self.send_error(self.status)
            return
        try:
            super().do_GET()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def send_error(self, *arguments, **options):
        try:
            super().send_error(*arguments, **options)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


@contextmanager
def serving(folder, *, status=None):
    """Serve a folder; yields its URL and the list of paths that were asked for."""
    seen: list[str] = []

    class Handler(_Handler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

    Handler.status, Handler.seen = status, seen
    with servers.serving(Handler) as url:
        yield url, seen


@contextmanager
def silent():
    """Take connections and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/channel"


@pytest.fixture
def channel(tmp_path):
    rows = [record("pytorch", "2.10.0", depends=["numpy"]), record("numpy", "2.4.6")]
    tiny_repodata.write(tmp_path / "channel", {"linux-aarch64": rows})
    return tmp_path / "channel"


def context(cache, **options):
    channels = Channels(Access(**{"cache": cache, "timeout": TIMEOUT, **options}))
    return Context(channels=channels, machine=ARM)


def asked(url, cache, spec="pytorch", **options):
    line = f"conda install {spec} -c {url} --override-channels"
    return explain(read_request(line, folder=cache), context(cache, **options))


def test_plain_repodata_is_read_and_served_from_the_cache_with_its_age(channel, tmp_path):
    with serving(channel) as (url, _):
        found = asked(url, tmp_path / "cache")
        assert found.outcome == "works"
        assert found.channels[0].state == "answered"
    note = next((tmp_path / "cache").glob("answered-*"))
    days_ago = time.time() - 3 * 86400
    os.utime(note, (days_ago, days_ago))
    later = asked(url, tmp_path / "cache")  # nobody listens there any more
    assert (later.outcome, later.channels[0].state) == ("works", "cached")
    assert later.channels[0].age_days == pytest.approx(3.0, abs=0.1)
    assert any("cached data, 3.0 days old" in line for line in lines_of(later))
    offline = asked(url, tmp_path / "cache", offline=True)
    assert (offline.outcome, offline.channels[0].state) == ("works", "cached")


def test_compressed_repodata_is_read(channel, tmp_path):
    for path in list(channel.glob("*/repodata.json")):
        packed = zstandard.ZstdCompressor().compress(path.read_bytes())
        path.with_name("repodata.json.zst").write_bytes(packed)
        path.unlink()
    with serving(channel) as (url, seen):
        assert asked(url, tmp_path / "cache").outcome == "works"
    assert any(path.endswith("repodata.json.zst") for path in seen)


def test_shards_by_rattlers_indexer_are_read_and_repodata_is_not(tmp_path, cpu_channel):
    """Real packages, indexed: only the shards of the names that are asked for are fetched."""
    folder = tmp_path / "sharded"
    shutil.copytree(cpu_channel.root, folder)
    for name in ("repodata.json", "repodata.json.zst"):
        for path in folder.glob(f"*/{name}"):
            path.unlink()
    asyncio.run(index_fs(folder, write_zst=True, write_shards=True))
    with serving(folder) as (url, seen):
        found = asked(url, tmp_path / "cache", spec="libtorch=99")
    assert [each.cause for each in found.findings] == ["version"]
    assert any("shards" in path for path in seen)
    assert not any(path.endswith(("/repodata.json", "/repodata.json.zst")) for path in seen)


def test_a_silent_channel_whose_cache_lacks_the_package_is_silent(tmp_path):
    """The cache has the shards that were asked for: of the others it tells nothing."""
    rows = [
        record("pytorch", "2.10.0"),
        record("torchvision", "0.25.0", depends=["pytorch", "pillow"]),
        record("pillow", "12.0"),
    ]
    tiny_repodata.write(tmp_path / "channel", {"linux-aarch64": rows})
    tiny_repodata.shard(tmp_path / "channel")
    with serving(tmp_path / "channel") as (url, _):
        assert asked(url, tmp_path / "cache").outcome == "works"
    assert asked(url, tmp_path / "cache").outcome == "works"
    found = asked(url, tmp_path / "cache", spec="torchvision")
    assert (found.outcome, [each.cause for each in found.findings]) == ("unknown", ["unreachable"])
    text = "\n".join(lines_of(found))
    assert "the shard for package 'torchvision' is not in the cache" in text
    assert "no torchvision" not in text


@pytest.mark.parametrize(
    ("status", "cause", "outcome"),
    [
        (404, "no-channel", "fails"),
        (401, "no-channel", "fails"),
        (407, "unreachable", "unknown"),
        (429, "unreachable", "unknown"),
        (503, "unreachable", "unknown"),
    ],
)
def test_what_a_status_means(channel, tmp_path, status, cause, outcome):
    with serving(channel, status=status) as (url, _):
        found = asked(url, tmp_path / "cache")
    assert [each.cause for each in found.findings if not each.package] == [cause]
    assert found.outcome == outcome
    assert f"HTTP {status}" in found.findings[0].detail
    # a channel that said nothing has no packages that could be missing
    assert all(not each.package for each in found.findings)


def test_a_need_that_is_no_package_is_named(tmp_path):
    rows = [record("pytorch", "2.10.0", depends=["!!! ??"])]
    tiny_repodata.write(tmp_path / "channel", {"linux-aarch64": rows})
    found = asked((tmp_path / "channel").as_uri(), tmp_path / "cache")
    assert found.outcome == "fails"
    assert any("!!! ??, which cannot be read as a package" in line for line in lines_of(found))


def test_a_channel_of_ours_that_is_not_there_is_not_suggested(channel, tmp_path):
    request = read_request("conda install pytorch --override-channels -c x", folder=tmp_path)
    alias = tmp_path.as_uri()
    ours = replace(context(tmp_path / "cache", alias=alias), ours="nowhere", base=("channel",))
    found = explain(request, ours)
    assert [each.differs for each in found.commands] == [("from channel", "without the channel x")]
    assert any("nowhere is absent" in note for note in found.notes)


def test_an_exported_environment_of_hundreds_is_explained_in_little_time(channel, tmp_path):
    specs = " ".join(f"lib{number}=1.{number}=h{number:07x}_0" for number in range(150))
    started = time.process_time()
    found = asked(channel.as_uri(), tmp_path / "cache", spec=f"pytorch {specs}")
    assert time.process_time() - started < 60
    assert {each.cause for each in found.findings} == {"absent"}
    assert max(len(line) for line in lines_of(found)) < 400


def test_a_channel_that_does_not_answer_is_not_called_empty(tmp_path):
    with silent() as url:
        started = time.monotonic()
        found = asked(url, tmp_path / "cache", timeout=SHORT)
        assert time.monotonic() - started < TIMEOUT
    assert [each.cause for each in found.findings] == ["unreachable"]
    assert found.outcome == "unknown"
    text = "\n".join(lines_of(found))
    assert "Cannot tell" in text
    assert "no pytorch" not in text


def test_nobody_listens(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = asked(f"http://127.0.0.1:{port}/channel", tmp_path / "cache")
    assert [each.cause for each in found.findings] == ["unreachable"]


@pytest.mark.parametrize(
    "content",
    [b"<html>a login page</html>", b"", b"[]", b'{"packages": 3}', b"\xff\xfe\x00", b"null"],
)
def test_nonsense_is_malformed(tmp_path, content):
    for subdir in ("linux-aarch64", "noarch"):
        (tmp_path / "bad" / subdir).mkdir(parents=True)
        (tmp_path / "bad" / subdir / "repodata.json").write_bytes(content)
    with serving(tmp_path / "bad") as (url, _):
        found = asked(url, tmp_path / "cache")
    assert [each.cause for each in found.findings] == ["malformed"]
    assert found.outcome == "unknown"


def test_a_dead_channel_beside_a_good_one_is_left_out_of_the_command(channel, tmp_path):
    with serving(channel) as (url, _), serving(channel, status=503) as (dead, _):
        line = f"conda install pytorch -c {dead} -c {url} --override-channels"
        found = explain(read_request(line, folder=tmp_path), context(tmp_path / "cache"))
    # the client fails at the channel; whether it would with an answer nobody can tell
    assert found.outcome == "unknown"
    assert [each.cause for each in found.findings] == ["unreachable"]
    assert found.commands[0].command == f"conda install pytorch -c {url} --override-channels"


def test_a_folder_that_is_no_channel_is_absent(tmp_path):
    found = asked(tmp_path.as_uri() + "/nothing", tmp_path / "cache")
    assert [each.cause for each in found.findings] == ["no-channel"]


def test_one_damaged_subdir_elsewhere_does_not_stop_an_explanation(channel, tmp_path):
    (channel / "osx-arm64").mkdir()
    (channel / "osx-arm64/repodata.json").write_text("{")
    rows = {"packages.conda": dict([record("scipy", "1", subdir="linux-64")])}
    (channel / "linux-64").mkdir()
    (channel / "linux-64/repodata.json").write_text(json.dumps(rows))
    found = asked(channel.as_uri(), tmp_path / "cache", spec="scipy")
    assert [(each.cause, each.offered) for each in found.findings] == [("elsewhere", ("linux-64",))]
