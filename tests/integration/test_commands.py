"""The command line as a person meets it: help, messages, exit codes, JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click
import jsonschema
import pytest

from generator import errors
from generator.building import place_of
from generator.commands import cli
from generator.commands.schemas import schema_files
from generator.console import Silent
from generator.datafiles import subdirs
from generator.project import Project
from tests.command_line import armtorch
from tests.conftest import ROOT
from tests.own_feedstock import FOLDER

pytestmark = pytest.mark.integration

COMMANDS = [
    *("up", "update", "release", "render", "build", "test", "lint", "map", "export-feedstock"),
    *("matrix", "explain", "coverage", "doctor", "ci", "schemas"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does_and_shows_examples(command):
    done = armtorch(command, "--help")
    assert done.returncode == 0
    assert f"Usage: armtorch {command}" in done.stdout
    if command != "schemas":
        assert "Examples:" in done.stdout
        assert f"  armtorch {command}" in done.stdout


def test_every_command_has_its_answer_as_json():
    def leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
        if not isinstance(command, click.Group):
            yield name, command
            return
        for word in command.list_commands(context):
            each = command.get_command(context, word)
            assert each is not None
            yield from leaves(each, f"{name} {word}")

    context = click.Context(cli)
    found = dict(leaves(cli, "armtorch"))
    assert len(found) > 20
    for name, command in found.items():
        assert any("--json" in each.opts for each in command.params), name


def test_the_first_help_names_every_command():
    done = armtorch("--help")
    assert "\b" not in done.stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command}\s+\S", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("option", ["--accelerator", "--subdir", "--python", "--package", "--out"])
@pytest.mark.parametrize("command", ["up", "build"])
def test_an_option_that_names_nothing_is_not_taken_for_everything(command, option, own):
    done = armtorch(command, option, "", cwd=own)
    assert done.returncode == 2
    assert f"Invalid value for '{option}': it names nothing; leave the option out" in done.stderr


@pytest.mark.parametrize("made", [False, True])
def test_a_page_of_no_channel_says_how_one_is_built(made, own, tmp_path):
    folder = tmp_path / "none"
    if made:
        (folder / "linux-aarch64").mkdir(parents=True)
    done = armtorch("page", "--url", "mine", "--from", folder, cwd=own)
    assert done.returncode == errors.AbsentError.exit_code
    assert done.stderr.startswith(f"error: {folder}: there is no channel there")
    assert "armtorch up" in done.stderr


@pytest.mark.parametrize(
    ("command", "base", "what"),
    [
        ("up", "ftp://mirror.example/c", "ftp:// is not read"),
        ("test", "/nonexistent", "it is no channel"),
        ("matrix --against-base", "./nonexistent", "it is no channel"),
        ("page", "file:///nonexistent", "it is no channel"),
        ("publish --to mirror", "~/nonexistent", "it is no channel"),
    ],
)
def test_a_base_that_is_no_channel_is_refused_by_every_command(command, base, what, own):
    done = armtorch(*command.split(), "--base", base, cwd=own)
    assert done.returncode == errors.SelectionError.exit_code, done.stderr
    assert f"--base {base}: {what}" in done.stderr
    assert "next: name a channel, conda-forge for example" in done.stderr


def test_rendered_files_on_main_are_what_the_lock_gives(committed):
    done = armtorch("render", "--check", cwd=committed)
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_shows_what_is_stale_missing_and_stray_and_changes_nothing(feedstock_copy):
    recipe = feedstock_copy / "recipes/2.10/pytorch/recipe.yaml"
    recipe.write_text(recipe.read_text().replace("jinja2", "jinja3"))
    (feedstock_copy / "recipes/2.10/libtorch/layout.json").unlink()
    (feedstock_copy / ".ci_support/2.10/stray.yaml").write_text("a: [b]\n")
    done = armtorch("render", "--check", cwd=feedstock_copy)
    assert done.returncode == errors.StaleError.exit_code
    assert "stale: recipes/2.10/pytorch/recipe.yaml" in done.stdout
    assert "-    - jinja3" in done.stdout
    assert "+    - jinja2" in done.stdout
    assert "missing: recipes/2.10/libtorch/layout.json" in done.stdout
    assert "stray: .ci_support/2.10/stray.yaml" in done.stdout
    assert "next: run armtorch render" in done.stderr
    assert "jinja3" in recipe.read_text()
    assert armtorch("render", cwd=feedstock_copy).returncode == 0
    again = armtorch("render", "--check", cwd=feedstock_copy)
    assert again.returncode == 0, again.stdout
    assert not (feedstock_copy / ".ci_support/2.10/stray.yaml").exists()


def test_matrix_json_fits_its_schema_and_gives_a_reason_for_every_absence():
    done = armtorch("matrix", "--json")
    found = json.loads(done.stdout)
    jsonschema.validate(found, json.loads((ROOT / "docs/matrix.schema.json").read_text()))
    missing = [row for cell in found["cells"] for row in cell["missing"]]
    apart = [row for row in missing if not row["package"]]
    assert [row["reason"] for row in apart] == ["incompatible"]
    assert {row["name"] for row in found["subdirs"]} == set(subdirs())
    assert all(row["cells"] or row["note"] for row in found["subdirs"])
    assert all(row["detail"] for row in missing)


def test_ids_are_one_a_line_and_select_themselves():
    ids = armtorch("matrix", "--ids").stdout.split()
    assert len(ids) == len(set(ids)) > 60
    done = armtorch("build", ids[-1], "--dry-run")
    assert done.stdout.split() == [ids[-1]]
    done = armtorch("build", ids[-1], "--dry-run", "--json")
    assert json.loads(done.stdout)["variants"] == [ids[-1]]


def test_a_dry_run_says_what_is_fetched_packed_and_waited_for(own, tmp_path):
    cached = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    build = ("build", "2.10/*", "--dry-run")

    def dry(*words: str) -> dict[str, Any]:
        done = armtorch(*build, "--json", *words, cwd=own, env=cached)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    every = dry()
    assert 0 < every["package_bytes"] < every["wheel_bytes"] == every["fetch_bytes"]
    # exclusions and lists mean the same in every option that takes Pythons
    some, but = dry("--python", "3.11,3.12"), dry("--python", "all,!3.11,!3.12")
    assert not {*some["variants"]} & {each for each in but["variants"] if "/pytorch/" in each}
    assert {*some["variants"], *but["variants"]} == {*every["variants"]}
    # the wheels of two Pythons are packed into as many bytes as those of seven
    assert some["package_bytes"] == pytest.approx(every["package_bytes"], rel=0.05)
    # what lies in the cache is not fetched
    cells = Project(feedstock=own / "feedstock.yaml", narrator=Silent()).locked().cells
    (wheel, *_) = (wheel for cell in cells if cell.line == "2.10" for wheel in cell.wheels)
    place = place_of(wheel, tmp_path / "armtorch/wheelhouse")
    place.parent.mkdir(parents=True)
    place.touch()
    said = armtorch(*build, cwd=own, env=cached).stderr
    left, whole = (
        f"{size / 1e6:.1f} MB" for size in (every["fetch_bytes"] - wheel.size, every["wheel_bytes"])
    )
    assert f"{left} to fetch of {whole}, about {every['package_bytes'] / 1e6:.1f} MB of" in said
    assert f"packages and {every['minutes']} min" in said


@pytest.mark.parametrize(("path", "text"), sorted(schema_files().items()))
def test_committed_schemas_are_those_of_the_model(path, text):
    assert (ROOT / path).read_text() == text, "regenerate them with: make schemas"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--feedstock", "nowhere.yaml", "matrix"], errors.FeedstockError, "there is no such file"),
        (["build", "2.10/pytorhc/*", "--dry-run"], errors.SelectionError, "next: perhaps"),
        (["build", "--accelerator", "gpu"], errors.SelectionError, "write cpu, cuda, cuda130"),
        (
            ["test", "2.10/pytorch/*3.12*", "--channel", "nowhere"],
            errors.AbsentError,
            "next: build it: armtorch build",
        ),
        (["build", "--python", "3.99", "--dry-run"], errors.SelectionError, "of Python 3.99"),
        (["build", "--subdir", "linux-arm64"], errors.SelectionError, "perhaps linux-aarch64"),
        (["build", "--package", "torch", "--dry-run"], errors.SelectionError, "of package torch"),
        (
            ["up", "--offline", "--python", "3.99"],
            errors.SelectionError,
            "3.99 is none that is known",
        ),
        (["up", "--offline", "--torch", "1.0"], errors.SelectionError, "add a line for it"),
        *(
            (["up", "--offline", "--torch", text], errors.SelectionError, f"{text!r} is not a ver")
            for text in ("2.10.x", "latest", "", "newest", "=2.10", "2.10.0+cpu.x y")
        ),
        (["up", "--indexes", "typo"], errors.SelectionError, "declares no index called 'typo'"),
        (["retire", "--to", "/absent"], errors.AbsentError, "there is no channel there"),
    ],
)
def test_a_mistake_names_what_where_and_the_next_step(arguments, code, message, own):
    done = armtorch(*arguments, cwd=own)
    assert done.returncode == code.exit_code, done.stderr
    assert message in done.stderr
    assert "next: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_python_that_is_none_is_a_usage_error():
    done = armtorch("build", "--python", "3.x")
    assert done.returncode == 2
    assert "3.12 or 3.14t" in done.stderr


def test_a_lock_edited_by_hand_is_refused_and_kept(feedstock_copy):
    lock = feedstock_copy / "feedstock.lock.yaml"
    edited = lock.read_text().replace("torchaudio: 2.10.0", "torchaudio: 2.11.0", 1)
    lock.write_text(edited)
    done = armtorch("render", cwd=feedstock_copy)
    assert done.returncode == errors.LockError.exit_code
    assert "edited by hand" in done.stderr
    assert lock.read_text() == edited


def test_a_lock_from_a_newer_armtorch_says_so(feedstock_copy):
    lock = feedstock_copy / "feedstock.lock.yaml"
    lock.write_text(re.sub(r"(?m)^schema: \d+", "schema: 99", lock.read_text()))
    done = armtorch("matrix", cwd=feedstock_copy)
    assert done.returncode == errors.LockError.exit_code
    assert "newer" in done.stderr


def test_without_a_lock_the_next_step_is_update(feedstock_copy):
    (feedstock_copy / "feedstock.lock.yaml").unlink()
    done = armtorch("render", cwd=feedstock_copy)
    assert done.returncode == errors.LockError.exit_code
    assert "next: run armtorch update" in done.stderr


def test_output_into_a_closed_pipe_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "generator", "matrix", "--json"],
        cwd=FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(100)
        process.stdout.close()
        said = process.stderr.read()
    assert "Traceback" not in said
