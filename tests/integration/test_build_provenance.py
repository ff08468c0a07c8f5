"""`build --provenance` in a real git repository: stated, proven, and the same bytes ever after."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generator.building import read_info, read_json
from generator.channel import LocalChannel
from generator.channel.publication import PublishOptions, plan_publication, publish
from generator.errors import AbsentError
from generator.inspecting.proving import VerifyOptions, verify_packages
from generator.model import Variant
from generator.stages.build import BuildOptions, build_variants
from tests.integration.synthetic import Line, updated
from tests.replayed_actions import git
from tests.synthetic_wheels import Release

pytestmark = pytest.mark.integration
URL = "https://github.com/me/armtorch"
PACKAGES = ("libtorch", "pytorch-cpu")


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Packages built without provenance, in a folder that is no repository yet."""
    release = Release(subdir="osx-arm64", torch="2.10.0", torchvision="0.25.0", torchaudio="2.10.0")
    return updated(tmp_path / "line", release.wheels(("cp312",)), "osx-arm64", packages=PACKAGES)


def build(line: Line, channel: LocalChannel, provenance: str = URL) -> dict[str, tuple[str, str]]:
    """Build, and return status and sha256 by package."""
    options = BuildOptions(channel=channel, jobs=2, level=1, provenance=provenance)
    report = build_variants(line.project, chosen(line), options)
    report.raise_for_failures()
    return {row.id.split("/")[1]: (row.status, row.sha256) for row in report.rows}


def chosen(line: Line) -> list[Variant]:
    return [each for each in line.variants if each.package in PACKAGES]


def extras(channel: LocalChannel) -> list[dict[str, object]]:
    """What about.json's `extra` says, without what is there in any case."""
    found = []
    for path in channel.root.glob("*/*.conda"):
        extra = dict(read_json(read_info(path), "info/about.json", path)["extra"])
        assert extra.pop("armtorch")
        assert extra.pop("recipe-maintainers")
        found.append(extra)
    assert len(found) == len(PACKAGES)
    return found


def test_it_states_what_brought_the_inputs_and_later_commits_give_the_same_bytes(
    line: Line, tmp_path: Path
) -> None:
    root = line.project.root
    with pytest.raises(AbsentError, match="does not tell the history"):
        build(line, LocalChannel(tmp_path / "none"))
    git(root, "init", "-q", "-b", "main")
    (root / ".gitignore").write_text("/wheelhouse\n/.armtorch/\n")
    git(root, "add", ".gitignore", "feedstock.yaml")
    git(root, "commit", "-qm", "Start")
    with pytest.raises(AbsentError, match="is in no commit"):
        build(line, LocalChannel(tmp_path / "none"))
    assert not (tmp_path / "none").exists()
    git(root, "add", "-A")
    git(root, "commit", "-qm", "Release")
    stated = {"remote_url": URL, "sha": git(root, "rev-parse", "HEAD")}

    first = LocalChannel(tmp_path / "first")
    one = build(line, first)
    assert extras(first) == [stated] * len(PACKAGES)
    (root / "README").write_text("nothing of a package")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "Describe it")
    second = LocalChannel(tmp_path / "second")
    assert build(line, second) == one
    assert {status for status, _ in build(line, second).values()} == {"skipped"}

    published = str(tmp_path / "published")
    for source, action in ((first, "upload"), (second, "skip")):
        # pytorch-cpu without pytorch could not be installed, and is refused
        options = PublishOptions(source=source, to=published, globs=("*/libtorch-*",))
        planned = plan_publication(line.project, options)
        assert {row.action for row in planned.plan.rows} == {action}
        publish(line.project, planned)

    made = sorted(first.root.glob("*/*.conda"))
    for proof in verify_packages(line.project, made, VerifyOptions(provenance=URL)):
        assert proof.verdict == "proven", proof.flaws
        assert proof.recipe == "the lock's"
    for wanted in (VerifyOptions(), VerifyOptions(provenance=f"{URL}2")):
        for proof in verify_packages(line.project, made, wanted):
            assert {flaw.file for flaw in proof.flaws} == {"info/about.json"}

    # made before without it: built again with it, and left alone without it
    plain = {status for status, _ in build(line, line.channel, provenance="").values()}
    assert plain == {"skipped"}
    assert extras(line.channel) == [{}] * len(PACKAGES)
    assert build(line, line.channel) == one
    assert json.dumps(extras(line.channel)) == json.dumps(extras(first))
