"""What a label is given: its train's packages, from where they are built to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from generator.channel import LocalChannel
from generator.channel.built import known_packages
from generator.commands import cli
from generator.errors import ArmtorchError, SelectionError, SolveError
from generator.project import Project
from tests.own_feedstock import DECLARED
from tests.published import make_packages

pytestmark = pytest.mark.integration


def test_a_label_gets_the_packages_of_its_train(tmp_path: Path) -> None:
    feedstock = tmp_path / "feedstock.yaml"
    feedstock.write_text(DECLARED.read_text())
    channel = LocalChannel(tmp_path / "channel")
    make_packages(channel, ("stable-one",))
    make_packages(channel.labelled("nightly"), ("nightly-one",))

    def publish(*arguments: str) -> tuple[set[str], str]:
        done = CliRunner().invoke(
            cli,
            ["--feedstock", str(feedstock), "publish", "--from", str(channel.root), *arguments,
             "--to", str(tmp_path / "mirror"), "--json"],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        rows = json.loads(done.stdout)["packages"]
        return {row["package"].rpartition("/")[2].partition("-1.0")[0] for row in rows}, done.stderr

    assert publish("--label", "nightly")[0] == {"nightly-one"}
    sent, said = publish()
    assert sent == {"stable-one"}
    assert "--label nightly" in said
    assert list((tmp_path / "mirror/label/nightly").glob("*/nightly-one*"))


@pytest.mark.parametrize(
    ("label", "code", "said"),
    [
        ("testing", SelectionError.exit_code, "no train of feedstock.yaml has the label 'testing'"),
        ("main", SelectionError.exit_code, "use one of: none has one"),
    ],
)
def test_stable_packages_go_to_no_other_label(
    tmp_path: Path, label: str, code: int, said: str
) -> None:
    channel = LocalChannel(tmp_path / "channel")
    make_packages(channel, ("stable-one",))
    to = ("--from", str(channel.root), "--to", str(tmp_path / "mirror"), "--label", label)
    done = CliRunner().invoke(cli, ["--feedstock", str(DECLARED), "publish", *to])
    assert isinstance(done.exception, ArmtorchError)
    assert (done.exception.exit_code, said in str(done.exception)) == (code, True)
    assert not (tmp_path / "mirror").exists()


def test_a_trains_label_gets_no_package_that_the_lock_has_for_another(
    project: Project, tmp_path: Path
) -> None:
    channel = LocalChannel(tmp_path / "channel")
    names = (key.rpartition("/")[2] for label, key in known_packages(project) if not label)
    stem = next(name for name in names if name.startswith("libtorch")).removesuffix(".conda")
    name, version, build = stem.rsplit("-", 2)
    make_packages(channel, (name,), version=version, build=build)
    to = ("--from", str(channel.root), "--to", str(tmp_path / "mirror"), "--label", "rc")
    done = CliRunner().invoke(cli, ["--feedstock", str(project.feedstock), "publish", *to])
    assert isinstance(done.exception, SelectionError)
    assert "of the channel itself" in str(done.exception)


def test_nothing_is_published_that_cannot_be_installed(tmp_path: Path) -> None:
    channel = LocalChannel(tmp_path / "channel")
    make_packages(channel, ("libtorch",), build="h1_0")
    make_packages(channel, ("pytorch",), depends=["libtorch ==1.0 h1_0", "numpy", "__glibc >=2.28"])
    make_packages(channel, ("torchvision",), depends=["pytorch ==1.0"])
    feedstock = tmp_path / "feedstock.yaml"
    feedstock.write_text(DECLARED.read_text())
    lone = LocalChannel(tmp_path / "lone")
    make_packages(lone, ("torchaudio",), depends=["libtorch ==1.0 h2_0"])

    def publish(source: LocalChannel, *globs: str) -> Result:
        to = ("--from", str(source.root), "--to", str(tmp_path / "mirror"))
        return CliRunner().invoke(cli, ["--feedstock", str(feedstock), "publish", *globs, *to])

    # neither what lacks its libtorch, nor what needs that
    for globs in (("*/pytorch-*",), ("*/pytorch-*", "*/torchvision-*")):
        done = publish(channel, *globs)
        assert isinstance(done.exception, SolveError)
        assert "linux-aarch64/pytorch-1.0-0.conda needs libtorch ==1.0 h1_0" in str(done.exception)
    assert ("torchvision-1.0-0.conda needs pytorch" in str(done.exception)) is True
    assert not (tmp_path / "mirror").exists()
    # part by part, in the order in which they can be used
    for globs in (("*/libtorch-*",), ("*/pytorch-*",), ("*/torchvision-*",)):
        assert publish(channel, *globs).exception is None
    # of that name there is one, and not the one that is needed
    done = publish(lone)
    assert isinstance(done.exception, SolveError)
    there = {path.name for path in (tmp_path / "mirror").rglob("*.conda")}
    assert {name.partition("-1.0")[0] for name in there} == {"libtorch", "pytorch", "torchvision"}


def test_a_page_names_a_channel_that_is_somebodys(tmp_path: Path) -> None:
    make_packages(LocalChannel(tmp_path / "channel"), ("stable-one",))
    words = ["--feedstock", str(DECLARED), "page", "--from", str(tmp_path / "channel")]
    done = CliRunner().invoke(cli, words)
    assert isinstance(done.exception, SelectionError)
    assert "-c armtorch" in str(done.exception)
    assert CliRunner().invoke(cli, [*words, "--url", "mine"]).exception is None
