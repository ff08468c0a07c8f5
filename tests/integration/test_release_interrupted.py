"""`armtorch release` stopped between its writes: the next run does all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.ci import releasing
from generator.ci.releasing import CHANGELOG, release
from generator.errors import MalformedError
from generator.lock import read_lock
from generator.project import Project
from generator.stages.render import check_rendered
from tests.integration.updating import Heard
from tests.synthetic_wheels import Release

pytestmark = pytest.mark.integration

DECLARED = """\
channel: c
maintainers: [m]
carry_armtorch: false
indexes: {pypi: {kind: folder, url: ../wheels}}
trains: {stable: {}}
subdirs: {linux-aarch64: {accelerators: [cpu]}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for wheel in Release(subdir="linux-aarch64", torch="2.10.0").wheels(["cp312"]):
        wheel.write(tmp_path / "wheels")
    declared = tmp_path / "feedstock" / "feedstock.yaml"
    declared.parent.mkdir()
    declared.write_text(DECLARED)
    return Project(feedstock=declared, narrator=Heard(), cache=tmp_path / "cache")


@pytest.mark.parametrize("place", ["render_feedstock", "write_changelog", "write_lock"])
def test_what_was_stopped_is_done_by_the_next_run(
    project: Project, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(releasing, place, stop)
        with pytest.raises(KeyboardInterrupt):
            release(project)
    found = release(project)
    assert found.announcement.changed
    assert check_rendered(project) > 0
    assert (project.root / CHANGELOG).read_text().count("\n## ") == 1
    assert read_lock(project.lock).cells
    again = release(project)
    assert not again.announcement.changed
    assert again.files == ()


def test_a_changelog_that_is_no_text_is_named(project: Project) -> None:
    (project.root / CHANGELOG).write_bytes(b"\xff\xfe\n## x\n")
    with pytest.raises(MalformedError, match="not UTF-8"):
        release(project)
    assert not project.lock.exists()
