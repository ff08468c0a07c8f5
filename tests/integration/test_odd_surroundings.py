"""Odd folders, files and variables: a right result or a message, never a traceback or a hang."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from generator.channel import LocalChannel
from generator.channel.checking import check_package
from generator.channel.repodata import Repodata
from generator.channel.run_exports import update_run_exports
from generator.channel.stores import FolderStore
from generator.errors import ArmtorchError, FeedstockError, IntegrityError, LockError, StorageError
from generator.feedstock import read_feedstock
from generator.lock import read_lock
from generator.stages.render import render_feedstock
from generator.stages.update import update_lock
from tests.index_server import IndexServer
from tests.integration.synthetic import open_project, updated
from tests.packages import tar_of, write_conda
from tests.synthetic_wheels import Release

pytestmark = pytest.mark.integration

ARM = "linux-aarch64"
RELEASE = Release(subdir=ARM, torch="2.10.0", torchaudio="2.10.0")
FOLDERS = ("a:b", "ö日本 c #x?y %2e")
REFUSED = ("${{ 1 }} {{ x }}", "$HOME", 'a"b', "a`b`")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_package_is_the_same_whatever_the_folder_is_called(tmp_path, name):
    wheels = [
        RELEASE.wheel("torch", "cp312"),
        RELEASE.wheel("torchaudio", "cp312"),
    ]
    line = updated(tmp_path / name, wheels, ARM, packages=["torchaudio"])
    (package,) = line.packages("torchaudio")
    plain = updated(tmp_path / "plain", wheels, ARM, packages=["torchaudio"])
    assert package.read_bytes() == plain.packages("torchaudio")[0].read_bytes()


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_scripts_would_read_as_something_else_is_said(tmp_path, name):
    wheels = [RELEASE.wheel("torch", "cp312"), RELEASE.wheel("torchaudio", "cp312")]
    with pytest.raises(StorageError, match="writes it into shell scripts"):
        updated(tmp_path / name, wheels, ARM, packages=["torchaudio"])


def armtorch(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "generator", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **variables},
    )


COMMANDS = (["matrix"], ["render", "--check"], ["explain", "conda install pytorch", "--offline"])


@pytest.fixture
def feedstock(tmp_path):
    RELEASE.wheel("torch", "cp312").write(tmp_path / "index")
    with IndexServer(tmp_path / "index") as server:
        project = open_project(tmp_path, server, ARM)
        update_lock(project)
        render_feedstock(project)
    return project.root


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_home_that_is_a_file_is_said(feedstock, tmp_path, command):
    home = tmp_path / "home"
    home.write_text("no folder")
    for more in ({}, {"XDG_CACHE_HOME": str(home / "cache")}):
        done = armtorch(*command, cwd=feedstock, HOME=str(home), **more)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 0 or done.stderr.startswith("error: ")


def test_a_temporary_folder_that_is_none_is_said(feedstock, tmp_path):
    nowhere = tmp_path / "none"
    nowhere.write_text("no folder")
    done = armtorch("render", cwd=feedstock, TMPDIR=str(nowhere / "x"))
    assert "Traceback" not in done.stderr, done.stderr


def test_the_seed_of_hashes_changes_no_byte(feedstock):
    found = set()
    for seed in ("0", "1", "4294967295", "random"):
        done = armtorch("matrix", "--json", cwd=feedstock, PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
        assert armtorch("render", "--check", cwd=feedstock, PYTHONHASHSEED=seed).returncode == 0
        found.add(done.stdout)
    assert len(found) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_in_a_files_place_is_not_waited_for(tmp_path):
    pipe = tmp_path / "feedstock.yaml"
    os.mkfifo(pipe)
    with pytest.raises(FeedstockError, match="not a regular file"):
        read_feedstock(pipe)
    with pytest.raises(LockError, match="not a regular file"):
        read_lock(pipe)


DEEP = b'{"packages.conda":' + b"[" * 100_000
REPODATA = {
    "deep": DEEP,
    "deep objects": b'{"a":' * 100_000,
    "no info": b'{"info": null, "packages.conda": null}',
    "info that is a list": b'{"info": [], "packages.conda": {}}',
    "info that is a number": b'{"info": 7}',
    "a list": b"[]",
    "null": b"null",
    "packages that are a list": b'{"packages.conda": []}',
    "a record that is a list": b'{"packages.conda": {"a-1-0.conda": []}}',
    "a record that is null": b'{"packages.conda": {"a-1-0.conda": null}}',
    "a record of lists": b'{"packages.conda": {"a-1-0.conda": {"name": [], "depends": {}}}}',
    "a lone surrogate": b'{"packages.conda": {"\\ud800.conda": {}}}',
    "a name upwards": b'{"packages.conda": {"../../a-1-0.conda": {}}}',
    "not UTF-8": b'{"packages.conda": {"\xff": {}}}',
    "a number of digits": b'{"packages.conda": {"a": ' + b"9" * 99_999 + b"}}",
    "nothing": b"",
}


@pytest.mark.parametrize("content", REPODATA.values(), ids=list(REPODATA))
def test_repodata_of_others_is_read_or_refused(content, tmp_path):
    with suppress(IntegrityError):
        assert [*Repodata.parse(content, "x").records()] == []
    channel = LocalChannel(tmp_path)
    (tmp_path / "noarch").mkdir()
    (tmp_path / "noarch" / "repodata.json").write_bytes(content)
    for call in (lambda: channel.records("noarch"), channel.index):
        with suppress(ArmtorchError):
            call()


@pytest.mark.parametrize("name", ["info/index.json", "info/run_exports.json"])
@pytest.mark.parametrize("content", [b"[" * 100_000, b"null", b"[]", b"\xff", b'"\\ud800"', b"{"])
def test_a_package_whose_metadata_makes_no_sense_is_refused(tmp_path, name, content):
    sound = {
        "name": "a", "version": "1", "build": "0", "build_number": 0, "subdir": "noarch",
        "depends": [], "noarch": "generic",
    }  # fmt: skip
    info = {"info/index.json": json.dumps(sound).encode(), name: content}
    path = tmp_path / "noarch" / "a-1-0.conda"
    write_conda(path, pkg=tar_of([]), info=tar_of(list(info.items())))
    store = FolderStore(LocalChannel(tmp_path))
    calls = (
        lambda: check_package(path, "noarch"),
        lambda: update_run_exports(store, "noarch", [path.name], {}),
    )
    refused = 0
    for call in calls:
        try:
            call()
        except ArmtorchError:
            refused += 1
    assert refused
