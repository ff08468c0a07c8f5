"""What the fuzzers start from and what they make goes through every command, in this process.

No exception of a library reaches a person, wherever a document of others comes in.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator import errors
from tests.counts import count
from tests.hostile_inputs import Line, feedstock_text, lock_text, opened, page, wheel
from tests.in_process import project_at, run
from tests.index_server import Behaviour, IndexServer
from tests.nasty_archives import FOLDER

pytestmark = pytest.mark.integration

#: commands that read the feedstock and its lock, none of which asks a server
OF_A_FEEDSTOCK = (
    ("matrix",),
    ("matrix", "--ids"),
    ("render", "--check"),
    ("render",),
    ("build", "--dry-run"),
    ("lint",),
    ("coverage",),
    ("ci", "plan"),
    ("ci", "join", "--channel", "channel"),
    ("verify", "channel"),
    ("export-feedstock", "2.10/pytorch", "exported"),
)
#: and those that read a channel folder
OF_A_CHANNEL = (
    ("verify", "channel"),
    ("verify", "channel", "--set-aside", "refused"),
    ("lint", "--binaries", "channel/noarch/*"),
    ("publish", "--from", "channel", "--to", "published", "--dry-run"),
    ("publish", "--from", "channel", "--to", "published"),
    ("page", "--url", "mine", "--from", "channel", "--out", "site"),
    ("retire", "--to", "channel", "--dry-run"),
    ("ci", "join", "--channel", "channel"),
    ("ci", "missing", "--to", "channel"),
    ("doctor", "--channel", "channel"),
)


#: how a command may end: well, or as one of the family says
CODES = {0} | {
    kind.exit_code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.ArmtorchError)
}


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("corpora")
    with IndexServer(folder / "index") as server:
        yield opened(folder, server)


@pytest.fixture(autouse=True)
def _there(line: Line, monkeypatch) -> Iterator[None]:
    """Run beside the feedstock; nothing of a run is there for the next one."""
    monkeypatch.chdir(line.project.root)
    yield
    line.reset()
    for name in ("channel", "published", "refused", "site", "exported"):
        shutil.rmtree(line.project.root / name, ignore_errors=True)


def ran(line: Line, *arguments: str) -> None:
    project = project_at(line.project.root, line.server.url, line.project.cache)
    done = run(project, *arguments)
    assert not done.crash, (arguments, done.crash)
    assert done.exit_code in CODES, (arguments, done.exit_code)


@pytest.mark.parametrize("command", OF_A_FEEDSTOCK, ids=" ".join)
def test_locks_and_feedstocks(line, command):
    document = {key: value for key, value in line.document.items() if key != "digest"}
    for number in range(count("corpora")):
        chance = random.Random(f"corpora {number}")
        line.project.lock.write_bytes(lock_text(document, chance))
        ran(line, *command)
        line.reset()
        line.project.feedstock.write_bytes(feedstock_text(_DECLARED, chance))
        ran(line, *command)
        line.reset()


@pytest.mark.parametrize("command", OF_A_CHANNEL, ids=" ".join)
def test_packages(line, command):
    for file in sorted(FOLDER.glob("*.conda")):
        place = line.project.root / "channel" / "noarch" / "torchaudio-2.10.0-0.conda"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
        ran(line, *command)
        shutil.rmtree(line.project.root / "published", ignore_errors=True)


def test_wheels_and_pages(line):
    for number in range(count("corpora")):
        chance = random.Random(f"corpora {number}")
        made = wheel(chance)
        name, content = made if isinstance(made, tuple) else (made.filename, made.content())
        path = line.server.folder / Path(name).name
        kept = path.read_bytes() if path.is_file() else None
        path.write_bytes(content)
        for command in (("update",), ("release", "--dry-run"), ("matrix",)):
            ran(line, *command)
        path.write_bytes(kept) if kept is not None else path.unlink()
        line.reset()
        kind, body = page(chance)
        line.server.behaviour = Behaviour(page=(kind, body), etag=False)
        ran(line, "update")
        line.reset()


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.whl")), ids=lambda file: file.name)
def test_wheels_at_hand(line, file):
    ran(line, "verify", str(FOLDER / "sound.conda"), "--wheel", str(file))


#: a feedstock as plain data, which is mutated
_DECLARED = {
    "channel": "synthetic",
    "maintainers": ["someone"],
    "indexes": {"pypi": {"kind": "pip"}},
    "trains": {"stable": {"keep": ["newest"], "indexes": ["pypi"]}},
    "subdirs": {"linux-aarch64": {"accelerators": ["cpu"], "base": ["conda-forge"]}},
}
