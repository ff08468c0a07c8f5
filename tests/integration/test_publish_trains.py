"""What a label is given: its train's packages, from where they are built to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from generator.channel import LocalChannel
from generator.commands import cli
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
    # a label that is no train's is a place for the channel's own packages
    assert publish("--label", "testing")[0] == {"stable-one"}
