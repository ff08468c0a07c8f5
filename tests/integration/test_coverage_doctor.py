"""`armtorch coverage` and `armtorch doctor`, and the README's transcripts."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import jsonschema
import pytest
from click.testing import CliRunner

from generator.commands import cli
from generator.explaining import look
from generator.explaining.answering import (
    ExplainOptions,
    Reach,
    check_machine,
    compare_channels,
    explain_request,
)
from tests import computers, transcripts
from tests.command_line import armtorch
from tests.conftest import ROOT
from tests.own_feedstock import DECLARED

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def grid(cached, recorded_alias):
    found = compare_channels(cached, ["conda-forge", "pytorch"], Reach(alias=recorded_alias))
    return {(row.subdir, row.accelerator, row.package): row for row in found.rows}


def test_lags_are_those_of_the_feedstocks_history(grid):
    theirs = grid["linux-aarch64", "cpu", "pytorch"].theirs[0]
    assert (theirs.channel, theirs.version, theirs.lag_days) == ("conda-forge", "2.13.0", 17)
    assert theirs.arrived == "2026-07-25"
    assert grid["linux-aarch64", "cpu", "torchvision"].theirs[0].lag_days == 24
    assert grid["linux-aarch64", "cpu", "torchaudio"].theirs[0].lag_days == 59


def test_the_grid_has_ours_theirs_and_what_is_missing(grid):
    cuda = grid["linux-aarch64", "cuda130", "pytorch"]
    assert (cuda.upstream, cuda.ours.version, cuda.missing) == ("2.14.1", "2.14.1", ())
    assert "3.14t" in cuda.ours.pythons
    tegra = grid["linux-aarch64", "cuda129-tegra", "pytorch"]
    assert (tegra.upstream, tegra.ours.version) == ("", "")
    assert tegra.missing == ("2.13.0, which conda-forge has",)
    old = grid["osx-arm64", "cpu", "pytorch"].theirs[1]
    assert (old.channel, old.version, old.pythons[0]) == ("pytorch", "2.5.1", "3.9")
    assert not any(offer.version for offer in grid["win-arm64", "cpu", "pytorch"].theirs)


def test_what_a_channel_lacks_of_upstream_and_of_the_others_is_named(cached, recorded_alias):
    reach = Reach(alias=recorded_alias, ours="conda-forge")
    found = compare_channels(cached, ["armtorch"], reach)
    grid = {(row.subdir, row.accelerator, row.package): row.missing for row in found.rows}
    assert grid["osx-arm64", "cpu", "pytorch"] == ("2.15.0, which upstream has",)
    assert grid["linux-aarch64", "cuda130", "torchaudio"] == ("Python 3.14t",)
    assert grid["linux-aarch64", "cpu", "pytorch"] == ()


def test_a_channel_that_is_not_there_is_no_gap(cached, recorded_alias):
    found = compare_channels(cached, ["conda-forge"], Reach(alias=recorded_alias, ours="nowhere"))
    assert {row.ours.state for row in found.rows} == {"absent"}
    assert {row.missing for row in found.rows} == {("nowhere is absent",)}


@pytest.mark.parametrize(
    ("name", "cell", "words", "warnings"),
    [
        ("jetson-orin-jetpack-6", "2.10/linux-aarch64/cpu", "", ["orin-jetpack-6"]),
        ("jetson-orin-jetpack-7", "2.15/linux-aarch64/cuda132", "", []),
        ("jetson-thor-jetpack-7", "2.15/linux-aarch64/cuda132", "", []),
        ("jetson-orin-jetpack-6.2.1", "2.10/linux-aarch64/cpu", "", ["orin-jetpack-6"]),
        ("jetson-xavier-jetpack-5", "2.10/linux-aarch64/cpu", "", ["old-jetpack"]),
        ("jetson-nano-jetpack-4", "", "", []),
        ("amazon-linux-2", "", "", []),
        ("rhel-8", "2.10/linux-aarch64/cpu", "", []),
        ("alpine", "", None, ["musl"]),
        ("raspberry-pi-4", "legacy-2.8/linux-aarch64/cpu", "pytorch=2.8", ["armv8.0-sigill"]),
        ("raspberry-pi-5", "2.10/linux-aarch64/cpu", "", []),
        ("raspberry-pi-32-bit", "", None, ["32-bit-userland"]),
        ("apple-silicon", "2.15/osx-arm64/cpu", "", []),
        ("apple-silicon-osx-64-conda", "", None, ["rosetta"]),
        ("windows-on-arm-x64-conda", "", None, ["x64-emulation"]),
        ("windows-on-arm", "", None, []),
        ("graviton", "2.10/linux-aarch64/cpu", "", []),
        ("x86-laptop", "", None, []),
    ],
)
def test_doctor_on(name, cell, words, warnings, cached, recorded_alias, tmp_path):
    tree = computers.write(name, tmp_path)
    reach = Reach(alias=recorded_alias, root=tree.root, system=tree.system)
    found = check_machine(replace(cached, environment=tree.environment), reach)
    assert found.cell == cell
    assert [each.id for each in found.warnings] == warnings
    if words is None:
        assert found.command == ""
    else:
        assert found.verified
        assert words in found.command


def test_doctor_sees_a_libtorch_that_is_loaded_first(cached, recorded_alias, tmp_path):
    """A module of an HPC site that puts its own libtorch on LD_LIBRARY_PATH."""
    tree = computers.write("graviton", tmp_path)
    module, own = tmp_path / "module/lib", tmp_path / "env/lib"
    for folder in (module, own):
        folder.mkdir(parents=True)
        (folder / "libc10.so").touch()
    for path, warnings in (
        (f"/nowhere:{module}", ["shadowed"]),
        (f"{tmp_path}:{own}", []),
        ("", []),
    ):
        environment = {
            **tree.environment,
            "LD_LIBRARY_PATH": path,
            "CONDA_PREFIX": str(own.parent),
        }
        reach = Reach(alias=recorded_alias, root=tree.root, system=tree.system)
        found = check_machine(replace(cached, environment=environment), reach)
        assert [each.id for each in found.warnings] == warnings
        assert found.cell == "2.10/linux-aarch64/cpu", "it is not the package's fault"


def test_doctor_reads_the_board_jetpack_and_glibc(cached, recorded_alias, tmp_path):
    tree = computers.write("jetson-orin-jetpack-6", tmp_path)
    computer = check_machine(cached, Reach(alias=recorded_alias, root=tree.root)).computer
    assert (computer.l4t, computer.jetpack) == ("36.4.3", "6.2")
    assert computer.board == "NVIDIA Jetson AGX Orin Developer Kit"
    assert "__glibc=2.35" in computer.virtual_packages
    assert "__cuda=12.6" in computer.virtual_packages
    assert computer.lse is True


@pytest.mark.parametrize(
    ("name", "jetpack"),
    [
        ("jetson-orin-jetpack-6", "6.2"),
        ("jetson-orin-jetpack-6.2.1", "6.2.1"),
        ("jetson-xavier-jetpack-5", "5.1.2"),
        ("rhel-8", ""),
    ],
)
def test_jetpacks_have_nvidias_names(name, jetpack, tmp_path):
    tree = computers.write(name, tmp_path)
    assert look(tree.root, tree.environment, tree.system).jetpack == jetpack


@pytest.mark.parametrize(("driver", "cell"), [("12.4", "cpu"), ("13.0", "cuda132")])
def test_doctor_takes_a_driver_that_a_variable_names(
    driver, cell, cached, recorded_alias, tmp_path
):
    tree = computers.write("graviton", tmp_path)
    variables = {**tree.environment, "CONDA_OVERRIDE_CUDA": driver}
    project = replace(cached, environment=variables)
    # the same machine seen from itself, and as a disk that is looked at from elsewhere
    for system in (tree.system, None):
        reach = Reach(alias=recorded_alias, root=tree.root, system=system)
        found = check_machine(project, reach)
        assert found.cell.endswith(f"/{cell}")
        assert f"__cuda={driver}" in found.computer.virtual_packages
        told = explain_request(
            project, "conda create -n t pytorch-gpu", ExplainOptions(reach=reach)
        )
        assert (told.outcome == "works") is (driver == "13.0")


def test_doctor_says_when_a_command_could_not_be_verified(cached, tmp_path):
    tree = computers.write("raspberry-pi-5", tmp_path / "pi")
    reach = Reach(alias=(tmp_path / "empty").as_uri(), root=tree.root)
    found = check_machine(cached, reach)
    assert found.command
    assert not found.verified
    assert "armtorch is absent" in found.detail


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        (["doctor"], "doctor"),
        (["coverage"], "coverage"),
        (["explain", "conda install pytorch -c pytorch", "--subdir", "win-arm64"], "explain"),
    ],
)
def test_json_fits_its_schema(arguments, schema, recorded_alias, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    feedstock = ["--feedstock", str(DECLARED)]
    done = CliRunner().invoke(
        cli, [*feedstock, *arguments, "--channel-alias", recorded_alias, "--json"]
    )
    assert done.exit_code == 0, done.output
    document = json.loads((ROOT / f"docs/{schema}.schema.json").read_text())
    jsonschema.validate(json.loads(done.stdout), document)


def test_without_a_feedstock_explain_works_with_other_channels(
    recorded_alias, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    words = [
        "explain",
        "conda install torch",
        "--subdir",
        "linux-aarch64",
        "--channel-alias",
        recorded_alias,
    ]
    done = CliRunner().invoke(cli, words)
    assert "conda install pytorch" in done.stdout


def test_explain_reads_a_message_from_standard_input(recorded_alias, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    words = ["--feedstock", str(DECLARED), "explain", "-"]
    words += ["--channel-alias", recorded_alias, "--subdir", "linux-aarch64"]
    text = "PackagesNotFoundError: ...\n\n  - pytorhc\n"
    done = CliRunner().invoke(cli, words, input=text)
    assert "perhaps you meant pytorch" in done.stdout


def told(alias, folder, *words, **variables):
    """Run a command as a person does; returns what it wrote and its exit code."""
    feedstock = ["--feedstock", DECLARED]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder), **variables}
    done = armtorch(
        *feedstock, *words, "--channel-alias", alias, "--timeout", "2", cwd=folder, env=environment
    )
    return done.stdout + done.stderr, done.returncode


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["conda install pytorch"], 0),
        (["conda install pytorch -c pytorch --override-channels"], 1),
        (["conda install pytorch --override-channels -c http://127.0.0.1:1/chan"], 11),
    ],
)
def test_check_tells_scripts_the_outcome(words, code, recorded_alias, tmp_path):
    asked = ["explain", *words, "--subdir", "linux-aarch64"]
    assert told(recorded_alias, tmp_path, *asked, "--check")[1] == code
    assert told(recorded_alias, tmp_path, *asked)[1] == 0


def test_check_does_not_pass_what_dies_on_the_machine(recorded_alias, tmp_path):
    tree = computers.write("raspberry-pi-4", tmp_path / "pi")
    asked = ["explain", "conda install pytorch -c armtorch", "--root", tree.root, "--check"]
    text, code = told(recorded_alias, tmp_path, *asked)
    assert code == 1
    assert "does not run on this machine" in text


PRIVATE = "http://user:s3cret@127.0.0.1:1/t/tk-12-abc/chan"


@pytest.mark.parametrize(
    "words",
    [
        ["explain", f"conda install pytorch -c {PRIVATE}", "--subdir", "linux-aarch64"],
        ["explain", f"conda install pytorch -c {PRIVATE}", "--subdir", "linux-aarch64", "--json"],
        ["explain", f"conda install {PRIVATE}::pytorch", "--subdir", "linux-aarch64"],
        ["explain", f"conda install {PRIVATE}/noarch/x-1-0.conda", "--subdir", "linux-aarch64"],
        ["explain", f"conda install 'x -c {PRIVATE}", "--subdir", "linux-aarch64"],
        ["explain", f"- {PRIVATE}/linux-aarch64\nnothing else"],
        ["doctor", "--channel", PRIVATE],
        ["coverage", "--channel", PRIVATE],
        ["coverage", "--against", PRIVATE, "--json"],
    ],
)
def test_no_password_or_token_is_shown(words, recorded_alias, tmp_path):
    text, _ = told(recorded_alias, tmp_path, *words)
    assert "s3cret" not in text
    assert "tk-12" not in text


def test_a_token_in_the_feedstocks_channel_is_not_shown(recorded_alias, tmp_path):
    text = DECLARED.read_text(encoding="utf-8")
    private = "channel: https://bot:SECRETTOKEN@127.0.0.1:1/conda/torch"
    path = tmp_path / "feedstock.yaml"
    path.write_text(text.replace("channel: armtorch", private, 1), encoding="utf-8")
    assert private in path.read_text(encoding="utf-8")
    words = ["explain", "conda install pytorch=99", "--subdir", "linux-aarch64"]
    done = armtorch(
        "--feedstock", path, *words, "--channel-alias", recorded_alias, cwd=tmp_path, env=os.environ
    )
    assert "127.0.0.1:1" in done.stdout
    assert "SECRETTOKEN" not in done.stdout + done.stderr


def test_the_variables_of_conda_set_virtual_packages(recorded_alias, tmp_path):
    for value, code, says in (
        ("13.0", 0, "__cuda=13.0"),
        ("", 0, "__glibc="),
        ("a b", 31, "not a virtual package"),
    ):
        text, left = told(recorded_alias, tmp_path, "doctor", CONDA_OVERRIDE_CUDA=value)
        assert (left, says in text) == (code, True), text
        assert ("__cuda" in text) is bool(value)


def test_coverage_without_a_feedstock_asks_for_a_channel(recorded_alias, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = armtorch("coverage", "--channel-alias", recorded_alias, cwd=tmp_path, env=os.environ)
    assert done.returncode == 31
    assert "--channel" in done.stderr


def test_a_folder_without_a_system_is_refused(recorded_alias, tmp_path):
    text, code = told(recorded_alias, tmp_path, "doctor", "--root", tmp_path)
    assert code == 31
    assert "root file system" in text


def test_the_channels_of_condarc_are_asked(cached, recorded_alias, tmp_path):

    tree = computers.write("raspberry-pi-5", tmp_path)
    (tmp_path / "root").mkdir()
    (tmp_path / "root/.condarc").write_text("channels: [main]\nchannel_priority: strict\n")
    project = replace(cached, environment={"HOME": "/root"})
    options = ExplainOptions(reach=Reach(alias=recorded_alias, root=tree.root))
    found = explain_request(project, "conda install pytorch", options)
    assert [state.name for state in found.channels] == ["main"]
    assert found.commands[0].command.endswith("--strict-channel-priority")


def test_the_readmes_transcripts_are_what_the_commands_print_now():
    assert os.environ.get("CONDA_CHANNEL_ALIAS") is None
    assert transcripts.written() == transcripts.transcripts(), "write them anew: make docs"
