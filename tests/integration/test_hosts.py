"""retire and --force where a host keeps the files: a real quetz, and recorded requests."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from generator.channel import LocalChannel
from generator.commands import cli
from generator.errors import DeclinedError, UnreachableError
from tests import servers
from tests.conda_files import write_conda
from tests.faulty_hosts import Host
from tests.own_feedstock import DECLARED
from tests.published import SUBDIR, make_packages

pytestmark = pytest.mark.integration
TOKEN = "secret-token"  # noqa: S105 - of no server


@pytest.fixture
def feedstock(tmp_path: Path) -> Path:
    path = tmp_path / "feedstock.yaml"
    path.write_text(DECLARED.read_text())
    return path


@pytest.fixture
def source(tmp_path: Path) -> LocalChannel:
    """Two nightlies, of which the older is past its days."""
    channel = LocalChannel(tmp_path / "source" / "channel")
    for day in (1, 2):
        make_packages(channel, ["alpha"], version=f"0.1.dev{day}")
    return channel


def run(feedstock: Path, *arguments: str, env: dict[str, str]) -> Result:
    return CliRunner(env=env).invoke(
        cli, ["--feedstock", str(feedstock), "-q", *arguments], standalone_mode=False
    )


def ok(result: Result) -> str:
    if result.exception is not None:
        raise result.exception
    return result.stdout


HOSTS = {
    "prefix": ("PREFIX_API_KEY", f"/api/v1/delete/owner-nightly/{SUBDIR}/{{}}", "Bearer "),
    "anaconda": ("ANACONDA_API_KEY", f"/dist/owner/alpha/0.1.dev1/{SUBDIR}/{{}}", "token "),
    "artifactory": ("ARTIFACTORY_TOKEN", f"/owner-nightly/{SUBDIR}/{{}}", "Bearer "),
}
OLD = "alpha-0.1.dev1-0.conda"


def answering(source: LocalChannel, labels: list[str]):
    """Answer as the hosts are documented to: repodata, a file's labels, and a DELETE."""
    repodata = (source.root / SUBDIR / "repodata.json").read_bytes()

    def answer(method: str, path: str) -> tuple[int, bytes] | None:
        if method == "DELETE":
            return 204, b""
        if path.startswith("/dist/"):
            return 200, json.dumps({"labels": labels}).encode()
        return (200, repodata) if path.endswith(f"/{SUBDIR}/repodata.json") else None

    return answer


@pytest.mark.parametrize("kind", HOSTS)
def test_a_host_is_asked_for_exactly_what_is_retired(kind, source, feedstock):
    """Recorded: a local server that answers as these hosts are documented to."""
    variable, path, scheme = HOSTS[kind]
    with servers.recorder(answering(source, ["nightly"])) as server:
        arguments = ["retire", "--to", f"{kind}+{server.url}/owner", "--label", "nightly"]
        env = {variable: TOKEN}
        plan = json.loads(ok(run(feedstock, *arguments, "--dry-run", "--json", env=env)))
        assert [row["package"] for row in plan["packages"]] == [f"{SUBDIR}/{OLD}"]
        unsaid = run(feedstock, *arguments, env=env)
        assert isinstance(unsaid.exception, DeclinedError)
        assert "--yes" in unsaid.exception.next_step
        assert all(line.startswith("GET ") for line in server.requests())
        done = json.loads(ok(run(feedstock, *arguments, "--yes", "--json", env=env)))
        assert done["removed"]
        deleted = [row for row in server.asked if row[0] == "DELETE"]
        assert [row[1] for row in deleted] == [path.format(OLD)]
        assert deleted[0][2]["Authorization"] == f"{scheme}{TOKEN}"
        without = run(feedstock, *arguments, "--yes", env={variable: ""})
        assert isinstance(without.exception, DeclinedError)
        assert variable in without.exception.next_step


def test_a_file_with_another_label_stays(source, feedstock):
    """A file at anaconda.org goes from all of its labels."""
    with servers.recorder(answering(source, ["nightly", "main"])) as server:
        arguments = ["retire", "--to", f"anaconda+{server.url}/owner", "--label", "nightly"]
        result = run(feedstock, *arguments, "--yes", env={"ANACONDA_API_KEY": TOKEN})
    assert isinstance(result.exception, DeclinedError)
    assert "label main" in result.exception.what
    assert all(line.startswith("GET ") for line in server.requests())


def test_quetz_deletes_and_replaces(source, feedstock, tmp_path):
    with servers.quetz(tmp_path) as quetz:
        quetz.make_channel("torch")
        to, env = f"quetz+{quetz.url}/torch", {"QUETZ_API_KEY": quetz.api_key}
        arguments = ["publish", "--from", str(source.root), "--to", to, "--json"]
        ok(run(feedstock, *arguments, env=env))

        def actions(*more: str) -> set[str]:
            plan = json.loads(ok(run(feedstock, *arguments, "--dry-run", *more, env=env)))
            return {row["action"] for row in plan["packages"]}

        wait_until = partial(servers.wait_until, urge=lambda: quetz.index("torch"))
        wait_until({"skip"}, actions)
        retire = ["retire", "--to", to, "--yes", "--json"]
        gone = json.loads(ok(run(feedstock, *retire, env=env)))
        assert [row["package"] for row in gone["packages"]] == [f"{SUBDIR}/{OLD}"]
        wait_until({"skip", "upload"}, actions)
        assert json.loads(ok(run(feedstock, *retire, env=env)))["packages"] == []
        # other bytes under a name that is there
        make_packages(source, ["alpha"], version="0.1.dev2", seed=1)
        refused = run(feedstock, *arguments, env=env)
        assert "other bytes" in str(refused.exception)
        ok(run(feedstock, *arguments, "--force", env=env))
        wait_until({"skip"}, lambda: actions("--force"))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_host_s_package_from_the_same_inputs_is_skipped(feedstock, tmp_path, ranges):
    """It is read part by part, where the host sends parts."""
    there, here = LocalChannel(tmp_path / "there"), LocalChannel(tmp_path / "here")
    files = {"a": bytes(9)}
    for channel, commit in ((there, "1"), (here, "2")):
        write_conda(channel.root, "alpha", "1.0", "0", digest="a" * 64, files=files, commit=commit)
        channel.index()
    repodata = (there.root / SUBDIR / "repodata.json").read_bytes()
    package = (there.root / SUBDIR / "alpha-1.0-0.conda").read_bytes()

    def answer(method: str, path: str) -> tuple[int, bytes] | None:
        if path.endswith(".conda"):
            first, last = map(int, server.asked[-1][2]["Range"].removeprefix("bytes=").split("-"))
            return (206, package[first : last + 1]) if ranges else (200, package)
        return (200, repodata) if path.endswith(f"/{SUBDIR}/repodata.json") else None

    with servers.recorder(answer) as server:
        to = f"prefix+{server.url}/owner"
        arguments = ["publish", "--from", str(here.root), "--to", to, "--json"]
        done = json.loads(ok(run(feedstock, *arguments, env={"PREFIX_API_KEY": TOKEN})))
        assert {row[0] for row in server.asked} == {"GET"}
    assert [row["reason"] for row in done["packages"]] == ["there, made from the same inputs"]


def test_a_host_that_is_down_in_the_middle_is_said_and_the_next_run_sends_the_rest(
    feedstock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At one of them; test_replay_hosts.py has all, with the job that publishes."""
    monkeypatch.setattr("generator.channel.retrying.time.sleep", lambda _: None)
    channel = LocalChannel(tmp_path / "three" / "channel")
    make_packages(channel, ["alpha", "beta", "gamma"])
    host = Host(channel.root, packages=1)
    with servers.recorder(host.answer) as host.server:
        arguments = ["--from", str(channel.root), "--to", f"prefix+{host.server.url}/owner"]
        down = run(feedstock, "publish", *arguments, env={"PREFIX_API_KEY": TOKEN})
        host.packages, sent = -1, list(host.there)
        ok(run(feedstock, "publish", *arguments, env={"PREFIX_API_KEY": TOKEN}))
    assert isinstance(down.exception, UnreachableError), down.exception
    assert "skipped by the next run" in str(down.exception)
    assert len(sent) == 1
    assert sorted(host.there) == [f"{name}-1.0-0.conda" for name in ("alpha", "beta", "gamma")]
