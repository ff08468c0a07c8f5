"""Variables and secrets as people paste them: taken as they are meant, or refused by name."""

from __future__ import annotations

import pytest

from generator.channel.destinations import parse_destination
from generator.channel.places import open_place
from generator.channel.s3_access import s3_access
from generator.channel.variables import variable
from generator.errors import DeclinedError, SelectionError
from generator.project import Project

KEYS = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}


@pytest.mark.parametrize("value", ["token", "token\n", " token", "\ttoken \r\n"])
def test_white_space_around_a_token_is_none_of_it(value: str) -> None:
    assert variable({"X": value}, "X") == "token"


@pytest.mark.parametrize("value", ["se cret", "se\ncret", "s€cret", "se\x00cret"])
def test_what_no_header_can_have_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(DeclinedError) as refused:
        variable({"X": value}, "X")
    assert "cret" not in str(refused.value)
    assert refused.value.where == "X"


@pytest.mark.parametrize(
    "text",
    [
        # pages of the hosts, addresses that clients use, and a scheme that was left out
        "https://prefix.dev/channels/me",
        "https://repo.prefix.dev/me",
        "https://anaconda.org/me/label/main",
        "https://anaconda.org/channels/me/packages",
        "https://conda.anaconda.org/me",
        "https://prefix.dev",
        "https://prefix.dev/m e",
        "https://anaconda.org/me%2Fyou",
        "prefix.dev/me",
        "s3:/bucket/x",
        "s3:bucket",
        "",
        " \n",
        '"https://prefix.dev/me"',
    ],
)
def test_no_address_is_taken_for_a_channel_or_a_folder_that_it_does_not_name(
    project: Project, text: str
) -> None:
    with pytest.raises(SelectionError) as refused:
        open_place(project, text)
    assert "https://prefix.dev/CHANNEL" in str(refused.value) or "./" in str(refused.value)


@pytest.mark.parametrize("text", ["./x/y", "/srv/x", "../x", "C:\\x", "file:///srv/x"])
def test_a_path_is_a_folder(project: Project, text: str) -> None:
    assert open_place(project, text).address.kind == "folder"


def test_an_address_is_taken_without_what_stands_around_it(project: Project) -> None:
    assert open_place(project, " https://prefix.dev/me\n").address.channel == "me"
    assert parse_destination("quetz+https://h/below/me").server == "https://h/below"


def test_an_address_has_what_feedstock_yaml_declares_of_it(project: Project) -> None:
    """As in CI, whose variable has the address, and whose jobs name the labels."""
    with project.feedstock.open("a", encoding="utf-8") as file:
        file.write(
            "destinations:\n"
            "  main: {to: 'https://anaconda.org/me', budget: 1}\n"
            "  nightly: {to: 'https://anaconda.org/me/', label: nightly, budget: 2}\n"
        )
    asked = [
        open_place(project, to, label).budget
        for to in ("main", "https://anaconda.org/me", "https://anaconda.org/me/")
        for label in ("", "nightly")
    ]
    assert asked == [1, 2] * 3
    assert open_place(project, "nightly").budget == 2
    assert open_place(project, "https://anaconda.org/you").budget == 3 << 30


@pytest.mark.parametrize(
    ("name", "value"),
    [("ARMTORCH_S3_ADDRESSING", "virtual"), ("AWS_ENDPOINT_URL_S3", "minio.example:9000")],
)
def test_a_bucket_s_place_that_is_none_is_named(name: str, value: str) -> None:
    with pytest.raises(SelectionError) as refused:
        s3_access("bucket", {**KEYS, name: value})
    assert refused.value.where == name
