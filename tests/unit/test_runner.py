"""How programs of a foreign subdir are run, by what the machine has."""

import pytest

from generator.datafiles import subdirs
from generator.errors import MissingToolError
from generator.testing import choose_runner
from generator.testing.runner import Runner, clean_environment, native_subdir

ARM = subdirs()["linux-aarch64"]
if native_subdir() == ARM.name:
    ARM = subdirs()["linux-armv7l"]


@pytest.fixture
def sysroot(tmp_path):
    loader = tmp_path / "sysroot" / ARM.loader
    loader.parent.mkdir(parents=True)
    loader.touch()
    return tmp_path / "sysroot"


def tool(folder, name):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(folder)


def test_binfmt_comes_before_an_explicit_emulator(tmp_path, sysroot):
    formats = tmp_path / "binfmt"
    formats.mkdir()
    entry = formats / f"qemu-{ARM.emulator_arch}"
    entry.write_text("enabled\n")
    path = tool(tmp_path / "bin", f"qemu-{ARM.emulator_arch}-static")
    runner = choose_runner(ARM, sysroot=sysroot, search=path, binfmt=formats)
    assert runner.mode == "binfmt"
    assert runner.command(["/p/python"]) == ["/p/python"]
    assert ("QEMU_LD_PREFIX", str(sysroot)) in runner.environment
    entry.write_text("disabled\n")
    runner = choose_runner(ARM, sysroot=sysroot, search=path, binfmt=formats)
    assert runner.mode == "qemu"
    assert runner.command(["/p/python"])[0].endswith("-static")


def test_without_an_emulator_the_message_says_what_to_install(tmp_path, sysroot):
    with pytest.raises(MissingToolError, match="qemu-user-static"):
        choose_runner(ARM, sysroot=sysroot, search=str(tmp_path), binfmt=tmp_path)


def test_a_sysroot_without_a_loader_is_named(tmp_path):
    with pytest.raises(MissingToolError, match="ld-linux") as caught:
        choose_runner(ARM, sysroot=tmp_path, search=str(tmp_path), binfmt=tmp_path)
    assert caught.value.where == str(tmp_path)


@pytest.mark.parametrize("name", ["osx-arm64", "win-arm64"])
def test_what_cannot_be_emulated_is_said_not_to_run(name):
    runner = choose_runner(subdirs()[name])
    if native_subdir() == name:
        assert runner.mode == "native"
    else:
        assert (runner.mode, runner.runs) == ("none", False)


def test_a_prefix_sees_nothing_of_the_callers_environment(tmp_path):
    runner = Runner(mode="native", description="natively")
    variables = clean_environment(
        tmp_path, runner, {"PYTHONPATH": "/x", "LD_LIBRARY_PATH": "/y", "HOME": "/h"}
    )
    assert "PYTHONPATH" not in variables
    assert "LD_LIBRARY_PATH" not in variables
    assert variables["HOME"] == "/h"
    assert variables["PATH"].startswith(str(tmp_path / "bin"))
