"""What a client's hook notes: the command, no secrets, and nothing where it is switched off."""

from __future__ import annotations

import sys
import time

import pytest

from generator.console import Silent
from generator.doors import asking, notes
from generator.explaining.desk import Reach, ours_of
from generator.project import Project

WORDS = ["conda", "install", "pytorch", "-c", "https://me:s3cret@host.invalid/t/tk-1-abc/chan"]


def test_a_command_is_noted_with_what_its_answer_depends_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variables = {"CONDA_SUBDIR": "linux-aarch64", "CONDA_OVERRIDE_CUDA": "13.0", "TOKEN": "x"}
    notes.note(WORDS[:3], variables, tmp_path / "notes")
    words, kept, folder = asking.noted(tmp_path / "notes")
    assert words == WORDS[:3]
    assert kept == {"CONDA_SUBDIR": "linux-aarch64", "CONDA_OVERRIDE_CUDA": "13.0"}
    assert folder == str(tmp_path)


def test_no_password_or_token_is_noted(tmp_path):
    variables = {"CONDA_CHANNEL_ALIAS": "https://me:s3cret@host.invalid/t/tk-1-abc"}
    notes.note(WORDS, variables, tmp_path)
    text = (tmp_path / "last-command.json").read_text()
    assert "s3cret" not in text
    assert "tk-1" not in text
    assert "pytorch" in text


@pytest.mark.parametrize(
    ("word", "noted"),
    [
        ("https://me:s3@cret@host.invalid/chan", "https://***@host.invalid/chan"),
        ("host.invalid:8080/t/s3cret/chan", "host.invalid:8080/t/***/chan"),
        ("--channel=t/s3cret/chan", "--channel=t/***/chan"),
        ("me:s3@cret@host.invalid/chan", "***@host.invalid/chan"),
        ("--channel=me:s3cret@host.invalid/chan", "--channel=***@host.invalid/chan"),
        ("/home/t/work/environment.yml", "/home/t/work/environment.yml"),
        ("conda-forge/linux-aarch64::pytorch[build=cpu*]",) * 2,
    ],
)
def test_a_channel_without_a_scheme_has_its_secrets_cut_and_a_path_is_left(word, noted, tmp_path):
    notes.note(["conda", "install", word], {"CONDA_CHANNELS": word}, tmp_path)
    words, variables, _ = asking.noted(tmp_path)
    assert (words[2], variables["CONDA_CHANNELS"]) == (noted, noted)


def test_it_can_be_switched_off_for_a_session_and_for_good(tmp_path):
    notes.note(WORDS, {notes.OFF: "1"}, tmp_path)
    assert asking.noted(tmp_path) == ([], {}, "")
    notes.note(WORDS, {}, tmp_path)
    notes.switch(tmp_path, on=False)
    assert asking.noted(tmp_path)[0] == []
    notes.note(WORDS, {}, tmp_path)
    assert asking.noted(tmp_path)[0] == []
    notes.switch(tmp_path, on=True)
    notes.note(WORDS, {}, tmp_path)
    assert asking.noted(tmp_path)[0]


def test_a_folder_that_cannot_be_written_stops_no_install(tmp_path):
    (tmp_path / "file").write_text("")
    notes.note(WORDS, {}, tmp_path / "file" / "notes")


def test_neither_a_folder_that_is_gone_nor_one_that_is_closed_stops_an_install(
    tmp_path, monkeypatch
):
    def closed(*_, **__):
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.exists", closed)
        notes.note(WORDS, {}, tmp_path)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    notes.note(WORDS, {}, tmp_path)
    assert asking.noted(tmp_path)[0] == []


def test_noting_costs_under_five_milliseconds(tmp_path):
    notes.note(WORDS, {}, tmp_path)
    costs = []
    for _ in range(20):
        started = time.process_time()
        notes.note(WORDS, {}, tmp_path)
        costs.append(time.process_time() - started)
    assert sorted(costs)[len(costs) // 2] < 0.005


def test_why_asks_for_what_was_noted_in_its_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    variables = {"CONDA_SUBDIR": "linux-aarch64", "CONDA_CHANNELS": "main"}
    notes.note(
        ["conda", "install", "pytorch=*=cuda*"],
        variables,
        notes.folder({"XDG_CACHE_HOME": str(tmp_path)}),
    )
    asked = []

    def call(arguments, *, cwd, env):
        asked.append((arguments, cwd, env.get("CONDA_CHANNELS")))
        return 3

    monkeypatch.setattr("subprocess.call", call)
    assert asking.ask(["why", "--json"], door="conda armtorch") == 3
    ((words, cwd, channels),) = asked
    text = "CONDA_SUBDIR=linux-aarch64 conda install 'pytorch=*=cuda*'"
    assert words == [sys.executable, "-m", "generator", "explain", text, "--json"]
    assert (cwd, channels) == (tmp_path / "work", "main")
    # what was noted is said beside the answer, which is a document with --json
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"$ {text}\n")
    # for help nothing has to be noted
    asking.ask(["why", "--help"], door="conda armtorch")
    assert asked[-1][0][3:] == ["explain", "--help"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("words", [[], ["of"], ["--help"], ["off", "now"]])
def test_notes_are_switched_by_on_and_off_alone(words, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    notes.note(WORDS, {}, tmp_path / "armtorch")
    assert asking.ask(["notes", *words], door="conda armtorch") == 2
    assert "notes on|off" in capsys.readouterr().err
    assert asking.noted(tmp_path / "armtorch")[0]
    assert asking.ask(["notes", "off"], door="conda armtorch") == 0
    assert asking.noted(tmp_path / "armtorch")[0] == []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "armtorch/notes-off"))
    for word in ("on", "off"):
        assert asking.ask(["notes", word], door="conda armtorch") == 30
    assert "notes-off" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("record", "channel"),
    [
        ('{"url": "https://host.invalid/me/chan/noarch/a.conda"}', "https://host.invalid/me/chan"),
        ('{"url": "file:///srv/chan/noarch/a.conda", "channel": "x"}', "file:///srv/chan"),
        ('{"url": "file:///home/me/a.conda"}', ""),
        ('{"url": null}', ""),
        ("[", ""),
    ],
)
def test_where_no_feedstock_is_our_channel_is_the_one_armtorch_came_from(
    record, channel, tmp_path, monkeypatch
):
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta/armtorch-0.1.0-pyh1234567_0.json").write_text(record)
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    project = Project(feedstock=tmp_path / "feedstock.yaml", narrator=Silent())
    assert ours_of(project, Reach(), "linux-aarch64")[0] == channel
    assert ours_of(project, Reach(ours="named"), "linux-aarch64")[0] == "named"


@pytest.mark.parametrize("door", ["conda armtorch", "pixi armtorch"])
def test_without_a_note_it_says_what_to_do(door, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert asking.ask(["why"], door=door) == 1
    assert f"then {door} why" in capsys.readouterr().err
