"""`armtorch pins` against a server that answers as GitHub's API does, in a copy of armtorch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from generator.ci.pins import outdated
from generator.errors import DataError, IntegrityError, MalformedError, StaleError, UnreachableError
from generator.provider.github import GitHub
from generator.rendering import ActionPin, action_pins
from tests import servers
from tests.conftest import ROOT

pytestmark = pytest.mark.integration
PIN = next(pin for pin in action_pins().actions if pin.name == "actions/cache")
NEWER = ActionPin(name=PIN.name, tag="v99.0.0", commit="c" * 40)


@dataclass
class Api:
    """What GitHub knows: the newest releases, and tags."""

    newest: dict[str, str] = field(
        default_factory=lambda: {pin.name: pin.tag for pin in action_pins().actions}
    )
    commits: dict[tuple[str, str], str] = field(
        default_factory=lambda: {(pin.name, pin.tag): pin.commit for pin in action_pins().actions}
    )
    #: instead of any answer
    broken: tuple[int, bytes] | None = None

    def release(self, pin: ActionPin) -> None:
        self.newest[pin.name] = pin.tag
        self.commits[pin.name, pin.tag] = pin.commit

    def answer(self, _: str, path: str) -> tuple[int, bytes] | None:
        """`/repos/OWNER/NAME/releases/latest` and `/repos/OWNER/NAME/commits/TAG`."""
        if self.broken is not None:
            return self.broken
        _, _, owner, name, kind, tag = path.split("/")
        repository = f"{owner}/{name}"
        if kind == "releases":
            return 200, json.dumps({"tag_name": self.newest[repository]}).encode()
        sha = self.commits.get((repository, tag))
        return None if sha is None else (200, json.dumps({"sha": sha}).encode())


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    with servers.recorder(api.answer) as server:
        yield server.url


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder with an armtorch of its own, whose data files may be written."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("generator", "templates"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    return tmp_path


def pins(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "generator", "pins", "--api", url, *arguments],
        cwd=folder,
        env={"PATH": "", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def data(folder: Path) -> Path:
    return folder / "generator/data/action_pins.yaml"


def test_update_shows_a_diff_and_writes_one_row_and_no_other_line(
    api: Api, url: str, copied: Path
) -> None:
    before = data(copied).read_text()
    assert pins(copied, url, "--update").stdout == "every action is pinned to its newest release\n"
    assert data(copied).read_text() == before
    api.release(NEWER)
    shown = pins(copied, url)
    assert shown.returncode == 0, shown.stderr
    old = f"{{name: {PIN.name}, tag: {PIN.tag}, commit: {PIN.commit}}}"
    new = f"{{name: {NEWER.name}, tag: {NEWER.tag}, commit: {NEWER.commit}}}"
    rows = [line for line in shown.stdout.splitlines() if line.startswith(("-  - ", "+  - "))]
    assert rows == [f"-  - {old}", f"+  - {new}"]
    assert pins(copied, url, "--check").returncode == StaleError.exit_code
    assert data(copied).read_text() == before, "nothing is written without --update"
    inode = data(copied).stat().st_ino
    done = pins(copied, url, "--update")
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown.stdout
    assert data(copied).read_text() == before.replace(old, new)
    assert before.startswith("# ")
    # whole or not at all: another file took the name, and no draft stayed
    assert data(copied).stat().st_ino != inode
    assert {path.name for path in data(copied).parent.glob("*action_pins*")} == {data(copied).name}
    assert pins(copied, url, "--check").returncode == 0


def test_a_release_older_than_the_pinned_one_is_none(api: Api, url: str) -> None:
    api.release(ActionPin(name=PIN.name, tag="v1.9.9", commit="b" * 40))
    assert outdated(GitHub(url=url)) == ()


def test_a_tag_that_moved_is_refused_also_behind_a_newer_release(
    api: Api, url: str, copied: Path
) -> None:
    before = data(copied).read_text()
    api.release(NEWER)
    api.commits[PIN.name, PIN.tag] = "d" * 40
    done = pins(copied, url, "--update")
    assert done.returncode == IntegrityError.exit_code
    assert f"{PIN.tag} now is {'d' * 40}" in done.stderr
    assert data(copied).read_text() == before


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        ((200, b"<html>log in</html>"), MalformedError),
        ((200, b"[]"), MalformedError),
        ((200, b'{"tag_name": "v99.0.0", "sha": "main"}'), MalformedError),
        ((200, b'{"tag_name": "v99.0.0", "sha": "c}\\n  - {name: a/b"}'), MalformedError),
        ((503, b"{}"), UnreachableError),
        ((403, b'{"message": "API rate limit exceeded"}'), UnreachableError),
    ],
)
def test_what_is_no_answer_is_no_release(
    api: Api, url: str, broken: tuple[int, bytes], kind: type[Exception]
) -> None:
    api.broken = broken
    with pytest.raises(kind):
        outdated(GitHub(url=url))


def test_a_tag_that_is_no_version_is_for_a_person(api: Api, url: str) -> None:
    api.release(ActionPin(name=PIN.name, tag="nightly}, {name: a/b", commit="c" * 40))
    with pytest.raises(DataError, match="which is no version"):
        outdated(GitHub(url=url))
