"""One installed prefix for everything that is run in it or built against it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from importlib.util import source_from_cache
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
    """The CPU trio and pip, beside what conda-forge has: a Pillow and an OpenBLAS of its own."""
    channels = [cpu_channel.url, forge.ensure_compiled(tools.gcc).url, base.url]
    specs = ["python=3.11", "pytorch", "torchvision", "torchaudio", "cpuonly"]
    records = solve([*specs, "libopenblas", "pip"], channels=channels, machine=machine)

    def install(folder: Path) -> None:
        paths = {"prefix": folder / "prefix", "package_cache": folder / "cache"}
        create(records, subdir=machine.subdir, **paths)

    folder = made_once(tmp_path_factory, "developer", install)
    return Environment(prefix=folder / "prefix", records=tuple(records))


def lend_bytecode(lender: Path, prefix: Path) -> None:
    """Give a prefix what another's emulated Python compiled of the same files.

    An `import torch` compiles a thousand, which takes longer than all else it does. Python itself
    takes what is of this time and size, and compiles the rest.
    """
    for compiled in lender.rglob("__pycache__/*.pyc"):
        source = Path(source_from_cache(str(compiled))).relative_to(lender)
        if not all((folder / source).is_file() for folder in (lender, prefix)):
            continue
        ours, theirs = ((folder / source).stat() for folder in (lender, prefix))
        if (int(ours.st_mtime), ours.st_size) == (int(theirs.st_mtime), theirs.st_size):
            own = prefix / compiled.relative_to(lender)
            own.parent.mkdir(exist_ok=True)
            shutil.copyfile(compiled, own)


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
