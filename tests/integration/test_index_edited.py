"""An index that is edited is, byte for byte, what rattler makes of the same packages anew."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgpack
import pytest
import zstandard
from rattler.index import index_fs
from rattler_build import assemble_package

from generator.atomic import write_bytes
from generator.channel import LocalChannel, derived, indexing
from generator.channel.patching import PACKAGE, Hotfix, Requirements
from generator.channel.publication import outgoing
from generator.channel.publishing import Sender, make_plan
from generator.channel.serving import Served
from generator.channel.stores import FolderStore
from generator.console import Silent
from tests.counts import count
from tests.published import SUBDIR, assert_consistent, folder_reader

pytestmark = pytest.mark.integration
_STEPS = 10
#: names and versions that are sorted otherwise as parts than as text
_NAMES = ("alpha", "alpha-two", "alpha.two", "beta")
_VERSIONS = ("1.0", "1.0.1", "1.0+a", "10.0")
_REASON = "of a test, to change what clients see"


class DiedError(Exception):
    """Stands for a run that was killed."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalChannel, LocalChannel]:
    """Return two channels with packages of the same names and other bytes."""
    root = tmp_path_factory.mktemp("sources")
    return channel_of(root / "one"), channel_of(root / "two")


def channel_of(folder: Path) -> LocalChannel:
    channel = LocalChannel(folder / "channel")
    files = folder / "files"
    files.mkdir(parents=True)
    for name in _NAMES:
        for version in _VERSIONS:
            (files / "data").write_text(f"{folder.name} {name} {version}")
            subdir = "noarch" if name == "beta" and version == "10.0" else SUBDIR
            made = assemble_package(
                name,
                version,
                subdir,
                "0",
                folder,
                files_dir=files,
                depends=["alpha >=1"] if name == "beta" else [],
                constrains=["other <2"],
                license="MIT",
                summary="of a test",
                timestamp=datetime(2026, 1, 1, tzinfo=UTC),
            )
            channel.place(made.path, subdir, replace=False)
    channel.index()
    return channel


class Story:
    """A channel, and what happens to it by chance."""

    def __init__(self, root: Path, sources: tuple[LocalChannel, LocalChannel], seed: int) -> None:
        self.chance = random.Random(seed)
        self.channel = LocalChannel(root)
        self.store = FolderStore(self.channel)
        self.packages = [outgoing(source) for source in sources]
        self.hotfixes: list[Hotfix] = []

    def served(self) -> Served:
        return Served(store=self.store, hotfixes=tuple(self.hotfixes))

    def publish(self) -> None:
        """Bring one to three packages; some of them replace what is there."""
        chosen = self.chance.sample(
            self.packages[self.chance.random() < 0.1], k=self.chance.randint(1, 3)
        )
        plan = make_plan(self.store, chosen, force=True, budget=None)
        Sender(narrator=Silent()).send(self.store, plan, served=self.served())

    def yank(self) -> None:
        key = self.chance.choice(self.packages[0]).key
        self.hotfixes.append(Hotfix(reason=_REASON, yank=(key,), name=f"yank-{key}"))
        self.served().index()

    def mend(self) -> None:
        change = Requirements(add=(f"gamma >={self.chance.randint(1, 3)}",))
        name = self.chance.choice(_NAMES)
        self.hotfixes.append(Hotfix(reason=_REASON, match=name, depends=change, name=name))
        self.served().index()

    def relent(self) -> None:
        if self.hotfixes:
            self.hotfixes.pop(self.chance.randrange(len(self.hotfixes)))
        self.served().index()

    def retire(self) -> None:
        there = [key for key in self.store.packages() if PACKAGE not in key]
        gone = self.chance.sample(there, k=min(len(there), 2))
        self.served().withdraw(gone)
        for key in gone:
            self.store.delete(key)
        self.served().index()

    def lose(self) -> None:
        """A file goes by somebody's hand, without a run of armtorch."""
        there = sorted(self.channel.root.glob(f"{SUBDIR}/*.conda"))
        if there:
            self.chance.choice(there).unlink()
        self.served().index()

    def damage(self) -> None:
        """Somebody changes a file of the index."""
        files = sorted(self.channel.root.glob(f"{SUBDIR}/repodata*.zst"))
        if files:
            self.chance.choice(files).write_bytes(b"of somebody else")
        self.served().index()


@pytest.fixture
def say(capsys):
    def out(text):
        with capsys.disabled():
            print(f"\n{text}")

    return out


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what index runs did."""
    found: Counter[str] = Counter()
    index = indexing.index

    def counted(root: Path, patch: str = "") -> str:
        result = index(root, patch)
        found[result] += 1
        return result

    monkeypatch.setattr("generator.channel.local.index", counted)
    return found


def test_whatever_happens_an_edited_index_is_what_a_new_one_would_be(
    sources, tmp_path, monkeypatch, done, say
):
    died = 0
    for seed in range(count("index_stories")):
        story = Story(tmp_path / f"{seed}" / "channel", sources, seed)
        label = Story(story.channel.labelled("rc").root, sources, -seed)
        for _ in range(_STEPS):
            each = label if story.chance.random() < 0.2 else story
            steps = [each.publish] * 12 + [each.yank, each.mend, each.relent]
            step = story.chance.choice([*steps, each.retire, each.lose, each.damage])
            if story.chance.random() < 0.25:
                with monkeypatch.context() as patched:
                    die_at(story.chance.randint(1, 8), patched)
                    try:
                        step()
                    except DiedError:
                        died += 1
                        if step not in {each.lose, each.damage}:  # done before any run knows of it
                            assert_consistent(folder_reader(each.channel.root))
                each.served().index()
            else:
                step()
            assert_as_new(each.channel.root, tmp_path / "copy")
    assert done[indexing.EDITED], "nothing was edited"
    assert died, "no run was killed"
    say(f"{done[indexing.EDITED]} index runs edited, {done.total()} in all, {died} killed")


def die_at(number: int, patched: pytest.MonkeyPatch) -> None:
    """Let the run die at one of the files of the index that it writes."""
    left = number

    def write(path, content, *, durable=True):
        nonlocal left
        left -= 1
        if left == 0:
            raise DiedError
        write_bytes(path, content, durable=durable)

    for module in (derived, indexing):
        patched.setattr(module, "write_bytes", write)


def assert_as_new(root: Path, copy: Path) -> None:
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("label", "shards", "*.zst", ".arm*"))
    patches = [path.name for path in copy.glob(f"noarch/{PACKAGE}-*.conda")]
    patch = json.loads((root / ".armtorch.index").read_bytes())["patch"]
    assert patch in {"", *patches}
    asyncio.run(index_fs(copy, repodata_patch=patch or None, force=True))
    for subdir in indexing.subdirs(copy):
        ours, new = root / subdir, copy / subdir
        for name in ("repodata.json", "repodata_from_packages.json", "repodata.json.zst"):
            if (new / name).is_file():
                assert (ours / name).read_bytes() == (new / name).read_bytes(), name
        listed, listed_new = (shards_of(folder) for folder in (ours, new))
        del listed_new["info"]["created_at"]
        assert listed == listed_new
        for digest in listed["shards"].values():
            name = f"shards/{digest.hex()}.msgpack.zst"
            assert (ours / name).read_bytes() == (new / name).read_bytes()
        exports = json.loads((ours / "run_exports.json").read_bytes())["packages.conda"]
        assert exports.keys() == {path.name for path in new.glob("*.conda")}
    edited = files_of(root)
    shutil.rmtree(copy)
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("label", ".armtorch.*"))
    assert LocalChannel(copy).index(patch) == "armtorch did not leave its index whole"
    assert files_of(copy) == edited
    shutil.rmtree(copy)


def shards_of(folder: Path):
    packed = (folder / "repodata_shards.msgpack.zst").read_bytes()
    return msgpack.unpackb(zstandard.ZstdDecompressor().decompress(packed, max_output_size=1 << 24))


def files_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.glob("*/*"))
        if path.is_file() and path.parent.parent == root and path.parent.name != "label"
    }
