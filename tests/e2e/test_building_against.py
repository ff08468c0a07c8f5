"""C++ that is built against the installed packages, cross-compiled and run emulated."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from generator.testing.runner import clean_environment
from tests.e2e.conftest import PROGRAMS

pytestmark = [pytest.mark.e2e, pytest.mark.emulated]


@pytest.fixture
def folder(tmp_path, request):
    """A copy of one folder of programs/, named by the test's marker."""
    name = request.node.get_closest_marker("program").args[0]
    return Path(shutil.copytree(PROGRAMS / name, tmp_path / name))


def build(command, *, cwd):
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(program, developer, runner):
    done = subprocess.run(
        runner.command([str(program)]),
        env=clean_environment(developer.prefix, runner, os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checked with torch 2.10.0" in done.stdout


@pytest.mark.program("extension")
def test_a_cpp_extension_is_built_by_torch_and_works(folder, tools, developer, python):
    # the emulated setup.py starts the compiler of this machine: the kernel runs either kind
    log = python("setup.py", "build_ext", "--inplace", cwd=folder)
    assert f"-I{developer.prefix}/lib/python3.11/site-packages/torch/include" in log
    assert "-lc10 -ltorch -ltorch_cpu -ltorch_python" in log
    assert "the extension works" in python("use.py", cwd=folder)


@pytest.mark.program("consumer")
@pytest.mark.parametrize(
    "place", [pytest.param("cmake_prefix_path", marks=pytest.mark.prove), "prefix"]
)
def test_a_cmake_project_finds_torch(folder, tools, developer, runner, place):
    site_packages = developer.prefix / "lib/python3.11/site-packages"
    root = {
        "cmake_prefix_path": site_packages / "torch/share/cmake",
        "prefix": developer.prefix,
    }[place]
    configure = [tools.cmake, "-S", folder, "-B", folder / "build", "-G", "Unix Makefiles"]
    log = build(
        [
            *configure,
            f"-DCMAKE_TOOLCHAIN_FILE={folder / 'arm.cmake'}",
            f"-DCMAKE_PREFIX_PATH={root}",
        ],
        cwd=folder,
    )
    expected = developer.prefix if place == "prefix" else site_packages / "torch"
    assert f"torch in {expected}" in log
    build([tools.cmake, "--build", folder / "build"], cwd=folder)
    run(folder / "build/consumer", developer, runner)


@pytest.mark.program("consumer")
def test_a_program_written_for_conda_forges_libtorch_is_built(folder, tools, developer, runner):
    prefix = developer.prefix
    includes = [f"-I{prefix}/include", f"-I{prefix}/include/torch/csrc/api/include"]
    links = [f"-L{prefix}/lib", "-ltorch", "-ltorch_cpu", "-lc10", f"-Wl,-rpath,{prefix}/lib"]
    # see consumer/arm.cmake
    command = [tools.gxx, "-std=c++17", "consumer.cpp", "-o", "consumer", *includes, *links]
    build([*command, "-Wl,--allow-shlib-undefined"], cwd=folder)
    run(folder / "consumer", developer, runner)
