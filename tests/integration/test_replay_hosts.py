"""The job `publish` at hosts that fail, and three of it at once: what is there, what is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.faulty_hosts import Host, forgetful
from tests.integration.small_release import copied, environment
from tests.replayed_jobs import Done
from tests.replayed_queue import Queue, concurrency
from tests.replaying import Replay

pytestmark = [pytest.mark.integration, pytest.mark.prove]
Noted = Callable[..., None]


@pytest.fixture
def built(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Replay]:
    """A release that every job but `publish` is done with."""
    with copied(tmp_path_factory, tmp_path) as index:
        yield Replay(tmp_path, environment(index))


def publish(replay: Replay) -> Done:
    return replay.job("build", "publish")


def packages(replay: Replay) -> set[str]:
    return {path.name for path in replay.channel.rglob("*.conda")}


@pytest.mark.parametrize(
    ("kind", "variable"),
    [
        ("prefix", "PREFIX_API_KEY"),
        ("anaconda", "ANACONDA_API_KEY"),
        ("quetz", "QUETZ_API_KEY"),
        ("artifactory", "ARTIFACTORY_TOKEN"),
    ],
)
def test_a_host_that_is_down_in_the_middle_is_said_and_the_next_run_sends_the_rest(
    built: Replay, noted: Noted, kind: str, variable: str
) -> None:
    built.secrets = {"publish": {variable: "secret-token"}}
    host = Host(built.channel, packages=3)
    with servers.recorder(host.answer) as host.server:
        built.variables["ARMTORCH_DESTINATION"] = f"{kind}+{host.server.url}/owner"
        down = publish(built)
        sent = list(host.there)
        host.packages = -1
        whole = publish(built)
    assert not down.ok
    assert len(sent) == 3
    assert whole.ok, whole.said
    assert sorted(host.there) == sorted(packages(built)), "each once"
    assert not any("secret-token" in each for each in built.said)
    noted(f"{kind} down after 3 packages", built, "skipped by the next run", published=len(sent))


@pytest.fixture(scope="module")
def bucket() -> Iterator[servers.Bucket]:
    with servers.s3() as found:
        yield found


def at(replay: Replay, bucket: servers.Bucket, prefix: str, endpoint: str = "") -> None:
    """Publish to a bucket, whose keys are secrets of the environment."""
    found = bucket.environment
    replay.secrets = {"publish": {k: found[k] for k in found if "KEY" in k}}
    replay.variables |= {
        "ARMTORCH_DESTINATION": f"s3://{bucket.name}/{prefix}",
        "AWS_REGION": found["AWS_REGION"],
        "AWS_ENDPOINT_URL_S3": endpoint or bucket.endpoint,
        "ARMTORCH_S3_ADDRESSING": "path",
    }


def there(bucket: servers.Bucket, prefix: str) -> set[str]:
    listed = bucket.operator(prefix).list("", recursive=True)
    return {Path(each.path).name for each in listed if each.path.endswith((".conda", ".json"))}


def test_a_store_without_conditional_writes_is_refused_and_has_nothing(
    built: Replay, noted: Noted, bucket: servers.Bucket
) -> None:
    with forgetful(bucket.endpoint, "if-none-match") as endpoint:
        at(built, bucket, "forgetful", endpoint)
        assert not publish(built).ok
    assert there(bucket, "forgetful") == set()
    noted("a store without conditional writes", built, "does not hold their condition", published=0)


def test_three_publishers_at_once_wait_and_the_later_ones_have_nothing_to_do(
    built: Replay, noted: Noted, bucket: servers.Bucket
) -> None:
    at(built, bucket, "three")
    queue, done = Queue(), {}
    for name in ("a push", "a release", "a night"):
        queue.come(name, concurrency(built.workflow("build"), "publish", {}))
    while queue.running:
        done[queue.running] = publish(built)
        queue.leave()
    assert queue.ended == []
    assert {name: each.ok for name, each in done.items()} == dict.fromkeys(done, True)
    assert len(done) == 3
    found = {name for name in there(bucket, "three") if name.endswith(".conda")}
    assert found == packages(built)
    noted("three publishers at once", built, "17 there already", published=len(found))
