"""Channel folders that somebody else may write to, and packages that pose as others."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import zipfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import zstandard

from generator.building.archive import CondaZip
from generator.channel import LocalChannel
from generator.channel.inputs import same_package
from generator.channel.patching import PACKAGE, Hotfix, Instructions
from generator.channel.serving import Served
from generator.channel.stores import FolderStore
from generator.errors import IntegrityError, StorageError
from generator.transport import open_session
from tests.conda_files import write_conda
from tests.published import SUBDIR, assert_consistent, folder_reader, make_packages

pytestmark = pytest.mark.integration
_ALPHA, _GAMMA = "alpha-1.0-0.conda", "gamma-1.0-0.conda"
_KEPT = ".armtorch.index"
_SECONDS = 1_780_000_000


@pytest.fixture
def channel(tmp_path: Path) -> LocalChannel:
    found = LocalChannel(tmp_path / "channel")
    make_packages(found, ["alpha"])
    return found


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """One more package, outside of the channel."""
    other = LocalChannel(tmp_path / "other" / "channel")
    make_packages(other, ["gamma"])
    return other.root / SUBDIR / _GAMMA


@pytest.mark.parametrize(
    "place",
    [
        _KEPT,
        f"{SUBDIR}/repodata.json",
        f"{SUBDIR}/repodata.json.zst",
        f"{SUBDIR}/repodata_shards.msgpack.zst",
        f"{SUBDIR}/{_ALPHA}",
        f"{SUBDIR}/zeta-1.0-0.conda",
    ],
)
def test_a_pipe_in_a_channel_is_not_waited_for(channel, package, place):
    (channel.root / place).unlink(missing_ok=True)
    os.mkfifo(channel.root / place)
    with pytest.raises((StorageError, IntegrityError), match=Path(place).name):
        _take(channel, package)


@pytest.mark.parametrize(
    "subdirs",
    [{"/dev": {"zero": ""}}, {SUBDIR: {"../../x": ""}}, {"a\0b": {"repodata.json": ""}}],
)
def test_what_a_kept_state_names_beside_the_index_is_not_opened(channel, package, subdirs):
    state = json.loads((channel.root / _KEPT).read_bytes())
    state["subdirs"] |= subdirs
    (channel.root / _KEPT).write_text(json.dumps(state))
    assert _take(channel, package) != "edited"
    assert assert_consistent(folder_reader(channel.root)) == {_ALPHA, _GAMMA}


@pytest.mark.parametrize(
    "place", [f"{SUBDIR}/{_GAMMA}.part", ".tmp", ".armtorch.probe", f"{SUBDIR}/shards", SUBDIR]
)
def test_a_link_in_a_channel_leads_nothing_out_of_it(channel, package, place, tmp_path):
    outside, link = tmp_path / "outside", channel.root / place
    if link.is_dir():
        shutil.move(link, outside)
    elif place == ".tmp":
        outside.mkdir()
    else:
        outside.write_text("mine")
    link.symlink_to(outside)
    before = _tree(outside)
    refused = (
        pytest.raises(IntegrityError, match="a link to a folder")
        if place.startswith(SUBDIR) and not place.endswith(".part")
        else nullcontext()
    )
    with refused:
        channel.prepare()
        _take(channel, package)
    assert _tree(outside) == before


@pytest.mark.parametrize("removed", [[1], [["a"]], {"a": 1}, "a"])
def test_an_odd_list_of_the_removed_is_named(channel, package, removed):
    path = channel.root / SUBDIR / "repodata.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"removed": removed}))
    state = json.loads((channel.root / _KEPT).read_bytes())
    state["subdirs"][SUBDIR]["repodata.json"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (channel.root / _KEPT).write_text(json.dumps(state))
    with pytest.raises(IntegrityError, match="removed is not a list"):
        _take(channel, package)


@pytest.mark.parametrize(
    ("said", "blanks"),
    [({"timestamp": -5}, 0), ({"license": "MIT\u202e"}, 0), ({}, 1 << 27)],
    ids=["a time before 1970", "a text that shows another", "128 MiB of nothing"],
)
def test_a_package_whose_record_nobody_could_read_is_not_indexed(channel, said, blanks):
    """Once it were in the index, every later command would stop at it."""
    row = {"name": "zeta", "version": "1.0", "build": "0", "build_number": 0, "subdir": SUBDIR}
    text = json.dumps(row | {"depends": []} | said).encode() + b" " * blanks
    path = channel.root / SUBDIR / "zeta-1.0-0.conda"
    _sealed(path, {"pkg": bytes(1024), "info": _more(b"", "info/index.json", text)}, stem=path.stem)
    with pytest.raises(IntegrityError, match="zeta"):
        channel.index()
    assert assert_consistent(folder_reader(channel.root)) == {_ALPHA}


@pytest.mark.parametrize(
    ("url", "kept"),
    [("https://quetz.example/moved", True), ("https://bucket.example/signed", False)],
)
def test_a_key_does_not_follow_a_redirect_to_another_host(url, kept):
    """quetz sends whoever wants a package to its bucket."""
    asked = requests.Request("GET", "https://quetz.example/x", {"X-API-Key": "secret"}).prepare()
    answer = requests.Response()
    answer.request = asked
    again = asked.copy()
    again.url = url
    with open_session() as session:
        session.rebuild_auth(again, answer)
    assert ("X-API-Key" in again.headers) is kept


def _take(channel: LocalChannel, package: Path) -> str:
    channel.place(package, SUBDIR, replace=False, copy=True)
    return channel.index()


def _tree(path: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in (path, *path.rglob("*")) if each.is_file()}


@pytest.mark.parametrize(
    ("kind", "path", "text"),
    [
        ("info", "lib/x.py", b"evil"),
        ("info", "info/paths.json", b'{"paths": [], "paths_version": 1}'),
        ("info", "info/index.json", b"{}"),
        ("info", "info/no_link", b"lib/x.py"),
        ("pkg", "lib/x.py", b"evil"),
    ],
    ids=["a file among the metadata", "a second list", "a second index", "a note", "a member"],
)
def test_what_poses_as_a_package_to_one_reader_alone_is_not_that_package(
    kind, path, text, tmp_path
):
    """rattler takes what comes last: of two entries, and of two members of a kind."""
    made: dict[str, Any] = {"files": {"lib/x.py": b"good"}, "installable": True, "digest": "a" * 64}
    ours = write_conda(tmp_path, "alpha", "1.0", "0", **made)
    with zipfile.ZipFile(ours) as archive:
        parts = {name: _unpacked(archive.read(f"{name}-alpha-1.0-0.tar.zst")) for name in _KINDS}
    honest = _sealed(tmp_path / "honest.conda", parts)
    more = _more(parts["info"], path, text)
    forged = _sealed(
        tmp_path / "forged.conda",
        parts | ({"info": more} if kind == "info" else {}),
        _more(b"", path, text) if kind == "pkg" else b"",
    )
    for theirs, same in ((honest, True), (forged, False)):
        with ours.open("rb") as one, theirs.open("rb") as two:
            assert same_package(one, two, ours.name) is same


_KINDS = ("pkg", "info")


def _unpacked(content: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(content)


def _more(tar: bytes, path: str, text: bytes) -> bytes:
    """Put one more entry at the end of a tar, as the seal writes entries."""
    entry = tarfile.TarInfo(path)
    entry.size, entry.mtime = len(text), _SECONDS
    header = entry.tobuf(tarfile.GNU_FORMAT)
    return tar.removesuffix(bytes(1024)) + header + text + bytes(-len(text) % 512) + bytes(1024)


def _sealed(
    target: Path, parts: dict[str, bytes], third: bytes = b"", stem: str = "alpha-1.0-0"
) -> Path:
    """Write a package's zip as the seal does, with a third member for whoever streams it."""
    file, pack = io.BytesIO(), zstandard.ZstdCompressor(level=3).compress
    with zipfile.ZipFile(file, "w") as archive:
        outer = CondaZip(archive, stem, _SECONDS)
        for kind in _KINDS:
            with outer.member(kind) as member:
                member.write(pack(parts[kind]))
        if third:
            archive.writestr("pkg-evil.tar.zst", pack(third))
    target.write_bytes(file.getvalue())
    return target


@dataclass(frozen=True, kw_only=True)
class _Named(Instructions):
    """Instructions in a package of another's name."""

    other: str

    @property
    def file_name(self) -> str:
        return self.other


def test_instructions_that_somebody_put_there_beforehand_are_not_believed(tmp_path):
    hotfix = Hotfix(reason="it breaks a test here", yank=(f"{SUBDIR}/{_ALPHA}",))
    lies = {
        "patch_instructions_version": 1,
        "packages": {},
        "packages.conda": {_GAMMA: {"depends": ["evil"]}},
        "remove": [],
        "revoke": [],
    }
    name, records = "", []
    for folder in ("honest", "lied to"):
        channel = LocalChannel(tmp_path / folder)
        make_packages(channel, ["alpha", "gamma"])
        if name:
            (tmp_path / "lies").mkdir()
            evil = _Named(subdirs={SUBDIR: lies}, other=name).package(tmp_path / "lies")
            (channel.root / "noarch").mkdir(exist_ok=True)
            shutil.copy(evil, channel.root / "noarch" / name)
        Served(store=FolderStore(channel), hotfixes=(hotfix,)).index()
        (patch,) = (channel.root / "noarch").glob(f"{PACKAGE}-*.conda")
        name = patch.name
        repodata = json.loads((channel.root / SUBDIR / "repodata.json").read_bytes())
        records.append(
            {key: row["depends"] for key, row in repodata["packages.conda"].items()}
            | {"removed": repodata["removed"]}
        )
        assert_consistent(folder_reader(channel.root))
    assert records[0] == records[1]
    assert records[0]["removed"] == [_ALPHA]
    assert "evil" not in str(records)


@pytest.mark.parametrize("folder", [b"\xff\xfe", b"x\ny", b"Linux-64", b"..."])
def test_a_folder_that_no_client_asks_for_is_no_subdir(channel, folder):
    odd = channel.root / os.fsdecode(folder)
    odd.mkdir()
    (odd / _ALPHA).write_bytes(b"no package")
    hotfix = Hotfix(reason="it breaks a test here", yank=(f"{SUBDIR}/{_ALPHA}",))
    Served(store=FolderStore(channel), hotfixes=(hotfix,)).index()
    assert _ALPHA not in assert_consistent(folder_reader(channel.root))
