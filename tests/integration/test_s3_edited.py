"""The index of a bucket that is edited: what it costs, and that it is what a new one would be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from generator.channel import LocalChannel
from generator.channel.bucket_index import BucketIndex
from generator.channel.derived import KEPT, SHARDS, ZST
from generator.channel.publication import outgoing
from generator.channel.publishing import Sender, make_plan
from generator.channel.repodata import REPODATA
from generator.channel.s3 import S3Store
from generator.channel.s3_access import s3_access
from generator.channel.serving import Served
from generator.console import Silent
from tests import servers
from tests.faulty_hosts import forgetful
from tests.published import SUBDIR, assert_consistent, make_packages, s3_reader

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def bucket() -> Iterator[servers.Bucket]:
    with servers.s3() as found:
        yield found


@pytest.fixture
def store(bucket: servers.Bucket, request: pytest.FixtureRequest) -> Callable[..., S3Store]:
    def make(endpoint: str = bucket.endpoint) -> S3Store:
        access = s3_access(bucket.name, {**bucket.environment, "AWS_ENDPOINT_URL": endpoint})
        return S3Store(bucket.name, request.node.name, access)

    return make


def publish(store: S3Store, folder: Path, *names: str) -> str:
    """Publish packages from a channel of their own; return what is said of the index."""
    channel = LocalChannel(folder / "-".join(names) / "channel")
    make_packages(channel, names)
    packages = outgoing(channel)
    plan = make_plan(store, packages, force=False, budget=None)
    fresh = {each.key: each.path for each in packages}
    said = Said()
    Sender(narrator=Silent()).send(
        store, plan, served=Served(store=store, fresh=fresh, narrator=said)
    )
    return " ".join(said.words)


class Said(Silent):
    def __init__(self) -> None:
        self.words: list[str] = []

    def say(self, text: str) -> None:
        self.words.append(text)


def files(bucket: servers.Bucket, prefix: str) -> dict[str, bytes]:
    """Return all of the index."""
    operator = bucket.operator(prefix)
    paths = (each.path for each in operator.list("", recursive=True))
    wanted = (path for path in paths if path.endswith((".json", ".zst")))
    return {path: bytes(operator.read(path)) for path in wanted if not path.endswith("/")}


def test_one_more_is_edited_in_and_equals_a_new_index(bucket, store, request, tmp_path) -> None:
    prefix = request.node.name
    names = [f"name{number}" for number in range(12)]
    assert publish(store(), tmp_path, *names) == ""
    asked: list[str] = []
    with forgetful(bucket.endpoint, asked=asked) as endpoint:
        counted = store(endpoint)
        # opendal holds the interpreter while it lists, and with it a server of the same process
        counted.packages = store().packages
        assert publish(counted, tmp_path, "one-more") == ""
    # as many for thousands of names, but for the pages of the listing
    assert len(asked) < 45, asked
    assert sum("/shards/" in each for each in asked) == 1, asked
    assert assert_consistent(s3_reader(bucket.operator(prefix))) == {
        f"{name}-1.0-0.conda" for name in (*names, "one-more")
    }
    edited = files(bucket, prefix)
    bucket.operator(prefix).delete(KEPT)
    assert "did not leave its index whole" in publish(store(), tmp_path, "one-more")
    assert files(bucket, prefix) == edited


def test_what_a_killed_publisher_left_is_made_anew(bucket, store, request, tmp_path) -> None:
    operator = bucket.operator(request.node.name)
    publish(store(), tmp_path, "alpha")
    old = bytes(operator.read(f"{SUBDIR}/{ZST}"))
    publish(store(), tmp_path, "beta")
    operator.write(f"{SUBDIR}/{ZST}", old)
    assert "not as armtorch left it" in publish(store(), tmp_path, "gamma")
    repodata = bytes(operator.read(f"{SUBDIR}/{REPODATA}"))
    packed = bytes(operator.read(f"{SUBDIR}/{ZST}"))
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == repodata
    assert len(json.loads(repodata)["packages.conda"]) == 3


@pytest.mark.parametrize("file", [REPODATA, ZST, SHARDS, KEPT])
def test_a_publisher_who_is_faster_loses_nothing(
    bucket, store, request, tmp_path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one publishes just before a file of the index is written."""
    publish(store(), tmp_path, "alpha")
    first = store()
    write: Callable[[str, bytes, str | None], bool] = first.write_if
    other = iter(("beta",))

    def late(path: str, content: bytes, version: str | None) -> bool:
        if path.endswith(file) and (name := next(other, None)):
            publish(store(), tmp_path, name)
        return write(path, content, version)

    monkeypatch.setattr(first, "write_if", late)
    publish(first, tmp_path, "gamma")
    assert assert_consistent(s3_reader(bucket.operator(request.node.name))) == {
        f"{name}-1.0-0.conda" for name in ("alpha", "beta", "gamma")
    }
    assert BucketIndex(store(), {}).edit() == ""
