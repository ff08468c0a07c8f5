"""Buckets that take a conditional write and do not hold its condition: nothing is written there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from generator.channel import LocalChannel
from generator.channel.s3 import S3Store
from generator.channel.s3_access import s3_access
from generator.channel.stores import Outgoing
from generator.errors import DeclinedError
from tests import servers
from tests.faulty_hosts import forgetful
from tests.published import SUBDIR, make_packages

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def bucket() -> Iterator[servers.Bucket]:
    with servers.s3() as found:
        yield found


def writes(
    bucket: servers.Bucket, endpoint: str, prefix: str, folder: Path
) -> list[Callable[[], object]]:
    """Return what a publication does: bring one package, change a file, make the index."""
    channel = LocalChannel(folder / "channel")
    make_packages(channel, ["alpha"])
    (record,) = channel.records(SUBDIR)
    access = s3_access(bucket.name, {**bucket.environment, "AWS_ENDPOINT_URL": endpoint})
    store = S3Store(bucket.name, prefix, access)
    package = Outgoing(path=channel.root / record.key, record=record)
    return [
        lambda: store.put(package, replace=False, advance=lambda _: None),
        lambda: store.change("noarch/x.json", lambda _: b"{}"),
        lambda: store.index(None),
    ]


@pytest.mark.parametrize("header", ["if-none-match", "if-match"])
def test_a_store_that_forgets_conditions_is_refused_before_anything_is_lost(
    bucket: servers.Bucket, tmp_path: Path, header: str
) -> None:
    with forgetful(bucket.endpoint, header) as endpoint:
        for write in writes(bucket, endpoint, header, tmp_path):
            with pytest.raises(DeclinedError, match=r"conditional.*If-"):
                write()
    there = [entry.path for entry in bucket.operator(header).list("", recursive=True)]
    assert not any(path.endswith((".conda", ".json")) for path in there), there


def test_a_store_that_holds_them_is_asked_once(bucket: servers.Bucket, tmp_path: Path) -> None:
    with forgetful(bucket.endpoint) as endpoint:
        for number in (1, 2):
            for write in writes(bucket, endpoint, "sound", tmp_path / str(number)):
                write()
    there = {entry.path for entry in bucket.operator("sound").list("", recursive=True)}
    assert f"{SUBDIR}/alpha-1.0-0.conda" in there


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({"AWS_REGION": "eu-central-1"}, "https://s3.eu-central-1.amazonaws.com"),
        ({"AWS_REGION": "", "AWS_ENDPOINT_URL_S3": ""}, "https://s3.us-east-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL_S3": "https://minio.example"}, "https://minio.example"),
    ],
)
def test_a_ci_says_region_endpoint_and_session(variables: dict[str, str], endpoint: str) -> None:
    """An unset variable of a workflow is an empty one."""
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    access = s3_access("bucket", {**keys, "ARMTORCH_S3_ADDRESSING": "", **variables})
    assert (access.endpoint, access.session_token) == (endpoint, "t")
    assert access.path_style == ("minio" in endpoint)
