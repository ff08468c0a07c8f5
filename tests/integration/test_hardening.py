"""What a hostile tester broke once: each stays mended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from generator import errors
from generator.channel import LocalChannel
from tests.command_line import armtorch
from tests.surroundings import heard

pytestmark = pytest.mark.integration


def test_a_recipe_edited_by_hand_is_not_built_under_its_name(feedstock_copy):
    script = feedstock_copy / "recipes/_unpack/build.py"
    script.write_text(script.read_text() + "\n# one line more\n")
    done = armtorch("build", "2.10/torchaudio/*3.12*", cwd=feedstock_copy)
    assert done.returncode == errors.StaleError.exit_code
    assert "recipes/_unpack/build.py" in done.stderr
    assert "next: see armtorch render --check" in done.stderr


def test_a_file_beside_a_recipe_is_not_packed(feedstock_copy):
    (feedstock_copy / "recipes/2.10/torchaudio/smoke.py.orig").write_text("x\n")
    done = armtorch("build", "2.10/torchaudio/*3.12*", cwd=feedstock_copy)
    assert done.returncode == errors.StaleError.exit_code
    assert "smoke.py.orig" in done.stderr


@pytest.mark.parametrize("name", ["recipes", "recipes/2.10", ".ci_support/2.10"])
def test_render_writes_and_deletes_nothing_through_a_link(feedstock_copy, tmp_path, name):
    outside = tmp_path / "outside"
    (feedstock_copy / name).rename(outside)
    (outside / "thesis.txt").write_text("mine\n")
    (feedstock_copy / name).symlink_to(outside)
    before = sorted(path.name for path in outside.rglob("*"))
    done = armtorch("render", cwd=feedstock_copy)
    assert done.returncode == errors.StorageError.exit_code
    assert "symbolic link" in done.stderr
    assert sorted(path.name for path in outside.rglob("*")) == before


def test_metapackages_that_are_described_anew_go_where_the_old_ones_are(feedstock_copy, tmp_path):
    """pytorch-mutex's file name has no place for a build number: the published one stays."""
    published = tmp_path / "published"
    build = ("build", "metapackages/pytorch-mutex/*", "metapackages/cpuonly/*")
    assert armtorch(*build, cwd=feedstock_copy).returncode == 0
    publish = ("publish", "--to", published, "--from")
    assert armtorch(*publish, "channel", cwd=feedstock_copy).returncode == 0
    before = {path.name: path.read_bytes() for path in (published / "noarch").glob("*.conda")}
    assert {"pytorch-mutex-1.0-cpu.conda", "pytorch-mutex-1.0-cuda.conda"} <= before.keys()
    declared = feedstock_copy / "feedstock.yaml"
    text = declared.read_text()
    assert "maintainers: [armtorch]" in text
    declared.write_text(text.replace("maintainers: [armtorch]", "maintainers: [somebody]"))
    assert armtorch("render", "--renumber", cwd=feedstock_copy).returncode == 0

    for folder in ("channel", "elsewhere"):  # beside the old ones, as at home; and anew, as in CI
        done = armtorch(*build, "--out", folder, cwd=feedstock_copy)
        assert done.returncode == 0, done.stderr
        done = armtorch(*publish, folder, cwd=feedstock_copy)
        assert done.returncode == 0, done.stderr
    after = {path.name: path.read_bytes() for path in (published / "noarch").glob("*.conda")}
    assert before.items() <= after.items()
    anew = {name.rpartition("-")[0] for name in after.keys() - before.keys()}
    assert anew == {"cpuonly-2.0"}
    # of a lock before this one, which is no fault of a package
    done = armtorch("verify", published / "noarch/pytorch-mutex-1.0-cpu.conda", cwd=feedstock_copy)
    assert done.stdout.startswith("self-consistent"), done.stdout


def test_a_package_that_was_damaged_on_the_channel_is_named_and_not_indexed(feedstock_copy):
    channel = LocalChannel(feedstock_copy / "channel")
    assert armtorch("build", "metapackages/*", cwd=feedstock_copy).returncode == 0
    package = next((channel.root / "noarch").glob("cpuonly-*.conda"))
    content = bytearray(package.read_bytes())
    content[len(content) // 2] ^= 1
    package.write_bytes(content)
    done = armtorch("build", "metapackages/*", cwd=feedstock_copy)
    assert done.returncode != 0
    assert package.name in done.stderr
    assert "Traceback" not in done.stderr


def test_an_index_run_that_was_killed_is_finished_by_the_next_one(feedstock_copy):
    channel = LocalChannel(feedstock_copy / "channel")
    assert armtorch("build", "metapackages/*", cwd=feedstock_copy).returncode == 0
    shards = channel.root / "noarch" / "repodata_shards.msgpack.zst"
    shards.write_bytes(b"of before")
    (channel.root / ".armtorch.index").unlink()
    assert channel.index()
    assert shards.read_bytes().startswith(b"\x28\xb5\x2f\xfd"), "not zstd: it was not written anew"
    assert (channel.root / ".armtorch.index").exists()
    shards.unlink()
    assert channel.index()
    assert not channel.index()


def test_the_password_of_an_index_is_never_shown(feedstock_copy, tmp_path):
    url = "http://alice:s3cretpw@127.0.0.1:9/simple"
    for arguments in (["update"], ["build", "2.10/torchaudio/*3.12*"]):
        done = armtorch(
            *arguments,
            cwd=feedstock_copy,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(tmp_path),
                "PIP_INDEX_URL": url,
                "PIP_EXTRA_INDEX_URL": "",
                "XDG_CACHE_HOME": str(tmp_path / "cache"),
            },
        )
        assert done.returncode == errors.UnreachableError.exit_code, done.stderr
        assert "s3cretpw" not in done.stdout + done.stderr
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"s3cretpw" not in path.read_bytes(), path


@pytest.mark.parametrize("text", ["channel: " + "[" * 20_000, "a: &a [x, x]\nchannel: *a\n"])
def test_yaml_that_is_meant_to_hurt_is_an_error_of_its_own_kind(feedstock_copy, text):
    (feedstock_copy / "feedstock.yaml").write_text(text)
    done = armtorch("matrix", cwd=feedstock_copy)
    assert done.returncode == errors.FeedstockError.exit_code
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 5000


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_workers_too(feedstock_copy, name):
    for _ in range(10):  # it may be over, or clearing up, when the signal comes
        said = signalled(feedstock_copy, getattr(signal, name))
        stopped = "stopped; run the same command again" in said
        left = list((feedstock_copy / ".armtorch" / "build").glob("run-*"))
        if stopped and not left:
            break
    assert stopped, said
    assert not left


def test_nohup_outlives_its_terminal(feedstock_copy):
    said = signalled(feedstock_copy, signal.SIGHUP, "nohup")
    assert "stopped" not in said
    assert list((feedstock_copy / "channel").glob("noarch/*.conda"))


def signalled(feedstock_copy, number, *before):
    """Send a signal as soon as a worker is at work; return what was said."""
    command = [sys.executable, "-m", "generator", "-q", "build", "metapackages/*", "--force"]
    with (
        heard(number),
        subprocess.Popen(
            [*before, *command],
            cwd=feedstock_copy,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        builds = feedstock_copy / ".armtorch" / "build"
        deadline = time.monotonic() + 300
        while process.poll() is None and not list(builds.glob("run-*/armtorch-*")):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
    return said
