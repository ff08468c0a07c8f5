"""The real linux-aarch64 CPU cell, published to real servers, solved and installed from there."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from generator.commands import cli
from generator.errors import ArmtorchError
from generator.testing import create, solve
from tests import servers
from tests.conftest import missing
from tests.published import assert_consistent, folder_reader, s3_reader

pytestmark = pytest.mark.e2e
TRIO = ("pytorch", "torchvision", "torchaudio")


def publish(own, channel, to, env=None):
    arguments = ["--feedstock", str(own / "feedstock.yaml"), "-q", "publish", "--json"]
    done = CliRunner(env=env or {}).invoke(
        cli, [*arguments, "--from", str(channel.root), "--to", to], standalone_mode=False
    )
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout)


def assert_installs(url, base, machine, tmp_path, only=()):
    """Solve with the published channel and the forge only, download, and link into a prefix.

    ``only``: the packages that are downloaded; all where it is empty.
    """
    records = solve(["python=3.11", *TRIO, "cpuonly"], channels=[url, base.url], machine=machine)
    from_there = {r.name.normalized for r in records if str(r.url).startswith(url)}
    assert from_there >= {*TRIO, "libtorch", "cpuonly"}
    wanted = [r for r in records if not only or r.name.normalized in only]
    cache = tmp_path / "cache"
    made = create(wanted, prefix=tmp_path / "prefix", subdir=machine.subdir, package_cache=cache)
    assert (made.prefix / "lib/libtorch_cpu.so").is_file()
    return made.prefix


def test_a_folder_behind_nginx(own, cpu_channel, base, machine, tmp_path):
    report = publish(own, cpu_channel, str(tmp_path / "mirror"))
    assert report["wheel_bytes"] > report["package_bytes"] > 50_000_000
    assert_consistent(folder_reader(tmp_path / "mirror"))
    try:
        with servers.nginx(tmp_path / "mirror", tmp_path / "nginx") as url:
            prefix = assert_installs(url, base, machine, tmp_path)
            assert next(
                prefix.glob("lib/python3.11/site-packages/torch/lib/libtorch_cpu.so")
            ).exists()
    except servers.MissingServerError as error:
        missing(str(error))


def test_a_bucket(own, cpu_channel, base, machine, tmp_path):
    with servers.s3() as bucket:
        publish(own, cpu_channel, "s3://bucket/torch", bucket.environment)
        assert_consistent(s3_reader(bucket.operator("torch")))
        assert_installs(bucket.url("torch"), base, machine, tmp_path, only={"libtorch"})


def test_a_quetz_server(own, cpu_channel, base, machine, tmp_path):
    with servers.quetz(tmp_path) as quetz:
        quetz.make_channel("torch")
        to, env = f"quetz+{quetz.url}/torch", {"QUETZ_API_KEY": quetz.api_key}
        first = publish(own, cpu_channel, to, env)
        assert {row["action"] for row in first["packages"]} == {"upload"}
        servers.wait_until(
            {"skip"},
            lambda: dry_run(own, cpu_channel, to, env),
            lambda: quetz.index("torch"),
        )
        assert_installs(f"{quetz.url}/get/torch", base, machine, tmp_path, only={"libtorch"})


def dry_run(own, channel, to, env):
    arguments = ["--feedstock", str(own / "feedstock.yaml"), "-q", "publish", "--json"]
    done = CliRunner(env=env).invoke(
        cli,
        [*arguments, "--from", str(channel.root), "--to", to, "--dry-run"],
        standalone_mode=False,
    )
    if isinstance(done.exception, ArmtorchError):
        return done.exception  # quetz is at work on its index
    return {row["action"] for row in json.loads(done.stdout)["packages"]}
