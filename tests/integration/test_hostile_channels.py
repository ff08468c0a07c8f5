"""Channels that lie: names that are paths, packages of another name, folder or shape."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from click.testing import CliRunner, Result

from generator.channel import LocalChannel
from generator.commands import cli
from generator.errors import ConflictError, IntegrityError, SelectionError, StorageError
from tests.own_feedstock import DECLARED
from tests.published import SUBDIR, assert_consistent, folder_reader, make_packages

pytestmark = pytest.mark.integration


@pytest.fixture
def feedstock(tmp_path: Path) -> Path:
    path = tmp_path / "feedstock.yaml"
    path.write_text(DECLARED.read_text())
    return path


def run(feedstock: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        cli, ["--feedstock", str(feedstock), "-q", *arguments], standalone_mode=False
    )


def package(path: Path, **said: Any) -> Path:
    """Write a .conda file whose index.json says what the test wants."""
    index = {"name": "alpha", "version": "1.0", "build": "0", "build_number": 0, "depends": []}
    index |= {"subdir": SUBDIR, "license": "MIT"} | said
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        for part, members in (
            ("pkg", {"alpha.txt": b"alpha"}),
            ("info", {"info/index.json": json.dumps(index).encode()}),
        ):
            archive.writestr(f"{part}-{path.stem}.tar.zst", packed(members))
    return path


def packed(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return zstandard.ZstdCompressor().compress(content.getvalue())


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"name": "beta", "version": "9"}, "what it holds is beta-9-0"),
        ({"subdir": "win-64"}, "it is for win-64"),
        ({"build_number": 10**30}, "metadata cannot be read"),
        ({"build_number": "many"}, "metadata cannot be read"),
        ({"timestamp": 10**17}, "metadata cannot be read"),
        ({"name": "../../alpha"}, "metadata cannot be read"),
        ({"depends": ["<img src=x onerror=alert(1)>"]}, "metadata cannot be read"),
    ],
)
def test_a_package_that_lies_is_named_and_not_indexed(said, why, tmp_path):
    channel = LocalChannel(tmp_path / "channel")
    make_packages(channel, ["honest"])
    path = package(channel.root / SUBDIR / "alpha-1.0-0.conda", **said)
    with pytest.raises(IntegrityError, match=why) as caught:
        channel.index()
    assert caught.value.where == str(path)
    assert assert_consistent(folder_reader(channel.root)) == {"honest-1.0-0.conda"}
    path.unlink()
    package(path)
    channel.index()
    assert len(channel.records(SUBDIR)) == 2, "the next run goes on"


def test_a_link_is_not_passed_over_in_silence(tmp_path):
    channel = LocalChannel(tmp_path / "channel")
    make_packages(channel, ["honest"])
    elsewhere = package(tmp_path / "alpha-1.0-0.conda")
    for target in (elsewhere, tmp_path / "nowhere"):
        link = channel.root / SUBDIR / elsewhere.name
        link.symlink_to(target)
        with pytest.raises(IntegrityError, match="symbolic link"):
            channel.index()
        link.unlink()


def test_a_linked_subdir_is_not_passed_over_in_silence(feedstock, tmp_path):
    source = LocalChannel(tmp_path / "source" / "channel")
    make_packages(source, ["alpha"])
    (tmp_path / "mirror").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "mirror" / SUBDIR).symlink_to(tmp_path / "disk")
    result = run(feedstock, "publish", "--from", str(source.root), "--to", str(tmp_path / "mirror"))
    assert isinstance(result.exception, IntegrityError)
    assert "a link to a folder" in result.exception.what


def test_a_page_takes_away_its_own_files_only(feedstock, tmp_path):
    source = LocalChannel(tmp_path / "source" / "channel")
    make_packages(source, ["alpha"])
    page, victim = source.root / "page", tmp_path / "thesis.html"
    run(feedstock, "page", "--url", "mine", "--from", str(source.root))
    victim.write_text("years of work")
    (page / "packages" / "old.html").write_text("of a package that is gone")
    names = (page / ".armtorch-page").read_text()
    (page / ".armtorch-page").write_text(f"{names}packages/old.html\n../../../thesis.html\n")
    assert run(feedstock, "page", "--url", "mine", "--from", str(source.root)).exception is None
    assert victim.read_text() == "years of work"
    assert [path.name for path in (page / "packages").iterdir()] == ["alpha.html"]


def lying(tmp_path: Path, file_name: str = "pytorch-1.0-0.conda", **said: Any) -> Path:
    """Write a channel whose repodata says what the test wants of a file that is there."""
    content = package(tmp_path / "outside-1.0-0.conda", name="outside").read_bytes()
    row = {"name": "pytorch", "version": "1.0", "build": "cpu_0", "build_number": 0}
    row |= {"subdir": SUBDIR, "size": len(content), "depends": ["python_abi 3.11.* *_cp311"]}
    row |= {"sha256": hashlib.sha256(content).hexdigest()} | said
    folder = tmp_path / "channel" / SUBDIR
    folder.mkdir(parents=True)
    document = {"info": {"subdir": SUBDIR}, "packages": {}, "packages.conda": {file_name: row}}
    (folder / "repodata.json").write_text(json.dumps(document))
    return folder.parent


HOSTILE: dict[str, tuple[str, dict[str, Any]]] = {
    "a file outside": ("../../outside-1.0-0.conda", {"name": "outside"}),
    "a subdir outside": ("pytorch-1.0-0.conda", {"subdir": "../.."}),
    "another subdir": ("pytorch-1.0-0.conda", {"subdir": "win-64"}),
    "a page outside": ("pytorch-1.0-0.conda", {"name": "../../../evil"}),
    "a command": ("pytorch-1.0-0.conda", {"version": "1;touch${IFS}evil"}),
    "no version": ("pytorch-1.0-0.conda", {"version": ".."}),
    "markup": ("pytorch-1.0-0.conda", {"build": "cpu_<img src=x onerror=alert(1)>"}),
    "a size of text": ("pytorch-1.0-0.conda", {"size": "big"}),
    "a size below nothing": ("pytorch-1.0-0.conda", {"size": -5}),
    "a date after all dates": ("pytorch-1.0-0.conda", {"timestamp": 10**17}),
    "needs of numbers": ("pytorch-1.0-0.conda", {"depends": [1]}),
    "a licence of lists": ("pytorch-1.0-0.conda", {"license": [1]}),
    "no sha256": ("pytorch-1.0-0.conda", {"sha256": None}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_repodata_that_lies_is_refused_and_leads_nowhere(name, feedstock, tmp_path):
    file_name, said = HOSTILE[name]
    source = lying(tmp_path, file_name, **said)
    before = set(tmp_path.rglob("*"))
    to = tmp_path / "deep" / "er" / "mirror"
    site = tmp_path / "deep" / "er" / "site"
    for arguments in (
        ["publish", "--from", str(source), "--to", str(to)],
        ["page", "--url", "mine", "--from", str(source), "--out", str(site)],
    ):
        result = run(feedstock, *arguments)
        assert isinstance(result.exception, IntegrityError), result.exception
        assert f"{SUBDIR}/repodata.json" in result.exception.where
    assert set(tmp_path.rglob("*")) == before, "nothing was written"


def test_odd_and_harmless_records_are_shown(feedstock, tmp_path):
    """No accelerator in the build string, null for a licence: nothing to select, and no error."""
    source = lying(tmp_path, build="py311_0", license=None, version="v1")
    result = run(
        feedstock, "page", "--url", "mine", "--from", str(source), "--out", str(tmp_path / "site")
    )
    assert result.exception is None, result.exception
    assert "0 combinations, 1 packages" in result.stdout


def test_nothing_goes_up_that_its_record_lies_about(feedstock, tmp_path):
    """rattler's indexer would take it on trust in a bucket: it is looked at before it goes up."""
    source = LocalChannel(lying(tmp_path))
    (source.root / SUBDIR / "pytorch-1.0-0.conda").write_bytes(
        (tmp_path / "outside-1.0-0.conda").read_bytes()
    )
    result = run(feedstock, "publish", "--from", str(source.root), "--to", str(tmp_path / "mirror"))
    assert isinstance(result.exception, IntegrityError)
    assert "what it holds is outside-1.0-0" in result.exception.what
    assert not list((tmp_path / "mirror").rglob("*.conda"))


def test_a_destination_that_is_a_file_is_said_before_anything(feedstock, tmp_path):
    source = LocalChannel(tmp_path / "source" / "channel")
    make_packages(source, ["alpha"])
    (tmp_path / "mirror").write_text("a thesis")
    for to in (str(tmp_path / "mirror"), (tmp_path / "mirror").as_uri()):
        result = run(feedstock, "publish", "--from", str(source.root), "--to", to, "--dry-run")
        assert isinstance(result.exception, StorageError)
        assert "there is a file" in result.exception.what
    assert (tmp_path / "mirror").read_text() == "a thesis"


def test_a_folder_under_a_packages_name_is_refused(feedstock, tmp_path):
    source = LocalChannel(tmp_path / "source" / "channel")
    make_packages(source, ["alpha"])
    (tmp_path / "mirror" / SUBDIR / "alpha-1.0-0.conda").mkdir(parents=True)
    result = run(feedstock, "publish", "--from", str(source.root), "--to", str(tmp_path / "mirror"))
    assert isinstance(result.exception, ConflictError)


@pytest.mark.parametrize(
    "key", ["alpha", "../x-1-0.conda", f"{SUBDIR}/x-1-0.conda\nmatch: '*'", f"{SUBDIR}/a: b.conda"]
)
def test_a_yank_of_no_package_writes_nothing(feedstock, tmp_path, key):
    result = run(feedstock, "yank", key, "--reason", "it upsets a test")
    assert isinstance(result.exception, SelectionError)
    assert not (tmp_path / ".ci").exists()
