"""A channel folder: placing, indexing, and what it notices."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import pytest
from rattler_build import assemble_package

from generator.channel import LocalChannel
from generator.errors import BuildError, IntegrityError, StorageError

pytestmark = pytest.mark.integration
SUBDIR = "linux-aarch64"


@pytest.fixture
def channel(tmp_path: Path) -> LocalChannel:
    return LocalChannel(tmp_path / "channel")


def package(folder: Path, name: str = "tiny", text: str = "one", subdir: str = SUBDIR) -> Path:
    files = folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    (files / f"{name}.txt").write_text(text)
    return assemble_package(
        name,
        "1.0",
        subdir,
        "0",
        folder,
        files_dir=files,
        depends=["python"],
        constrains=["other <2"],
        noarch="generic" if subdir == "noarch" else None,
    ).path


def test_an_empty_channel_has_noarch(channel: LocalChannel) -> None:
    assert channel.index()
    assert json.loads((channel.root / "noarch/repodata.json").read_text())["packages.conda"] == {}
    assert channel.records("noarch") == ()
    assert channel.records(SUBDIR) == ()
    assert channel.find(SUBDIR, "tiny-1.0-0.conda") is None


def test_a_package_is_moved_and_indexed_once(channel: LocalChannel, tmp_path: Path) -> None:
    source = package(tmp_path)
    placed = channel.place(source, SUBDIR, replace=False)
    assert not source.exists()
    assert placed == channel.find(SUBDIR, "tiny-1.0-0.conda")
    assert channel.records(SUBDIR) == (), "not before index"
    assert channel.index()
    (record,) = channel.records(SUBDIR)
    assert (record.name, record.version, record.build) == ("tiny", "1.0", "0")
    assert (record.depends, record.constrains) == (("python",), ("other <2",))
    assert record.size == placed.stat().st_size
    assert record.sha256 == channel.sha256(SUBDIR, placed.name)
    before = (channel.root / SUBDIR / "repodata.json").stat().st_mtime_ns
    assert not channel.index()
    assert (channel.root / SUBDIR / "repodata.json").stat().st_mtime_ns == before
    assert (channel.root / SUBDIR / "repodata.json.zst").is_file()
    assert (channel.root / SUBDIR / "repodata_shards.msgpack.zst").is_file()
    assert channel.url == channel.root.as_uri()


def test_a_package_for_every_platform_goes_to_noarch(channel: LocalChannel, tmp_path: Path) -> None:
    channel.place(package(tmp_path, subdir="noarch"), "noarch", replace=False)
    channel.index()
    assert [record.name for record in channel.records("noarch")] == ["tiny"]


def test_other_bytes_under_a_name_need_to_be_asked_for(
    channel: LocalChannel, tmp_path: Path
) -> None:
    channel.place(package(tmp_path), SUBDIR, replace=False)
    channel.index()
    (before,) = channel.records(SUBDIR)
    with pytest.raises(BuildError, match="different bytes"):
        channel.place(package(tmp_path, text="two"), SUBDIR, replace=False)
    assert channel.records(SUBDIR) == (before,)
    channel.place(package(tmp_path, text="two"), SUBDIR, replace=True)
    assert channel.sha256(SUBDIR, before.file_name) != before.sha256, "not the old record's"
    assert channel.index(), "the same name, so the indexer alone would not notice"
    (after,) = channel.records(SUBDIR)
    assert after.sha256 == channel.sha256(SUBDIR, after.file_name) != before.sha256


def test_a_replaced_package_of_the_same_size_is_noticed(
    channel: LocalChannel, tmp_path: Path
) -> None:
    placed = channel.place(package(tmp_path), SUBDIR, replace=False)
    channel.index()
    assert not channel.index()
    later = time.time_ns() + 2_000_000_000
    os.utime(placed, ns=(later, later))
    assert channel.index()


def test_a_package_that_is_gone_leaves_the_repodata(channel: LocalChannel, tmp_path: Path) -> None:
    placed = channel.place(package(tmp_path), SUBDIR, replace=False)
    channel.place(package(tmp_path, "other"), SUBDIR, replace=False)
    channel.index()
    placed.unlink()
    assert channel.index()
    assert [record.name for record in channel.records(SUBDIR)] == ["other"]


def test_a_damaged_package_is_named(channel: LocalChannel, tmp_path: Path) -> None:
    channel.place(package(tmp_path), SUBDIR, replace=False)
    channel.index()
    (channel.root / SUBDIR / "rotten-1.0-0.conda").write_bytes(b"rot")
    with pytest.raises(IntegrityError, match=r"not a \.conda file") as caught:
        channel.index()
    assert "rotten-1.0-0.conda" in caught.value.where
    assert [record.name for record in channel.records(SUBDIR)] == ["tiny"]


def test_a_damaged_repodata_is_said(channel: LocalChannel, tmp_path: Path) -> None:
    channel.place(package(tmp_path), SUBDIR, replace=False)
    channel.index()
    (channel.root / SUBDIR / "repodata.json").write_text("{")
    with pytest.raises(IntegrityError, match="not usable"):
        channel.index()


def test_a_folder_that_cannot_be_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    channel = LocalChannel(tmp_path / "file" / "channel")
    source = package(tmp_path)
    for step in (
        channel.prepare,
        channel.index,
        lambda: channel.place(source, SUBDIR, replace=False),
    ):
        with pytest.raises(StorageError, match="cannot be written"):
            step()
    assert source.is_file()


def test_a_package_from_another_file_system(channel: LocalChannel, tmp_path: Path) -> None:
    shm = Path("/dev/shm")  # noqa: S108 - another file system is the point
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    source = package(tmp_path)
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        foreign = Path(folder) / source.name
        foreign.write_bytes(source.read_bytes())
        placed = channel.place(foreign, SUBDIR, replace=False)
        assert placed.read_bytes() == source.read_bytes()
