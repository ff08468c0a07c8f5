"""What a client's hook notes: the command, no secrets, and nothing where it is switched off."""

from __future__ import annotations

import sys
import time

import pytest

from generator.doors import asking, notes

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
        asked.append((arguments, cwd, env["CONDA_CHANNELS"]))
        return 3

    monkeypatch.setattr("subprocess.call", call)
    assert asking.ask(["why", "--json"], door="conda armtorch") == 3
    ((words, cwd, channels),) = asked
    text = "CONDA_SUBDIR=linux-aarch64 conda install 'pytorch=*=cuda*'"
    assert words == [sys.executable, "-m", "generator", "explain", text, "--json"]
    assert (cwd, channels) == (tmp_path / "work", "main")


@pytest.mark.parametrize("door", ["conda armtorch", "pixi armtorch"])
def test_without_a_note_it_says_what_to_do(door, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert asking.ask(["why"], door=door) == 1
    assert f"then {door} why" in capsys.readouterr().err
