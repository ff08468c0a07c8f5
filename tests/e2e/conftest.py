"""One installed prefix for everything that is run in it or built against it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from generator.channel import LocalChannel
from generator.testing import Environment, Machine, Runner, create, solve
from generator.testing.runner import clean_environment
from tests import forge
from tests.conftest import made_once
from tests.cross import CrossTools

PROGRAMS = Path(__file__).with_name("programs")
#: runs Python in the prefix: arguments, working folder, variables beside the usual ones
RunPython = Callable[..., str]


@pytest.fixture(scope="session")
def developer(
    runner: Runner,
    tools: CrossTools,
    machine: Machine,
    base: forge.ForgeChannel,
    cpu_channel: LocalChannel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Environment:
    """The CPU trio beside what conda-forge has: a Pillow and an OpenBLAS of the environment."""
    channels = [cpu_channel.url, forge.ensure_compiled(tools.gcc).url, base.url]
    specs = ["python=3.11", "pytorch", "torchvision", "torchaudio", "cpuonly", "libopenblas"]
    records = solve(specs, channels=channels, machine=machine)

    def install(folder: Path) -> None:
        paths = {"prefix": folder / "prefix", "package_cache": folder / "cache"}
        create(records, subdir=machine.subdir, **paths)

    folder = made_once(tmp_path_factory, "developer", install)
    return Environment(prefix=folder / "prefix", records=tuple(records))


@pytest.fixture(scope="session")
def python(developer: Environment, runner: Runner) -> RunPython:
    """Run the prefix's Python and return what it prints."""
    prefix = developer.prefix

    def run(*arguments: str | Path, cwd: Path, added: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            runner.command([str(prefix / "bin/python"), *map(str, arguments)]),
            env={**clean_environment(prefix, runner, os.environ), **(added or {})},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
