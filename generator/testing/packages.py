"""Installs a built package into a fresh prefix and runs the tests that its recipe put into it."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rattler_build import Package
from rattler_build.package import CommandsTest, PackageContentsTest, PythonTest

from generator.console import Narrator
from generator.errors import ArmtorchError, SolveError, UnreachableError
from generator.testing.environment import Environment, Machine, create, solve
from generator.testing.runner import Runner, clean_environment

#: seconds one step may take; under qemu a cold `import torch` alone takes 40
STEP_TIMEOUT = 1800.0
_TAIL = 30


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One test step: what was run and how it ended."""

    name: str
    #: ``passed``, ``failed`` or ``not run``
    outcome: str
    seconds: float
    #: the end of its output when it failed, else ""
    output: str = ""


@dataclass(frozen=True, kw_only=True)
class PackageReport:
    """The tests of one package."""

    #: file name
    package: str
    subdir: str
    #: how it was run, in plain words
    how: str
    steps: tuple[StepReport, ...]
    #: whether programs of its subdir can run here at all
    runs: bool = True

    @property
    def passed(self) -> bool:
        """Whether nothing failed; steps that cannot run here do not count as failures."""
        return all(step.outcome != "failed" for step in self.steps)


@dataclass(frozen=True, kw_only=True)
class _Session:
    environment: Environment
    runner: Runner

    def python(self, code: Sequence[str]) -> list[str]:
        return self.runner.command([str(self.environment.prefix / "bin" / "python"), *code])


def run_package_tests(
    package: Path,
    *,
    channels: Sequence[str],
    machine: Machine,
    runner: Runner,
    package_cache: Path,
    narrator: Narrator,
    needed: bool = True,
) -> PackageReport:
    """Install ``package`` from ``channels`` into a fresh prefix and run the tests it carries.

    The package itself is pinned by version and build, so that no other one can stand in for it.
    Where it is not ``needed``, channels need not have what it needs: then nothing is run. Failing
    tests are findings in the report, not errors.
    Raises UnreachableError: a channel does not answer, which says nothing about the package.
    """
    loaded = Package.from_file(package)
    pin = f"{loaded.name} =={loaded.version} {loaded.build_string}"
    steps: list[StepReport] = []
    with tempfile.TemporaryDirectory(prefix="armtorch-test-") as folder:
        # the length of a real user's prefix, and a space: both have broken packages before
        prefix = Path(folder) / "a prefix"
        started = time.monotonic()
        try:
            records = solve([pin, *_needed(loaded)], channels=channels, machine=machine)
            environment = create(
                records, prefix=prefix, subdir=machine.subdir, package_cache=package_cache
            )
        except UnreachableError:
            raise
        except ArmtorchError as error:
            unsolved = isinstance(error, SolveError) and not needed
            steps.append(
                StepReport(
                    name="install",
                    outcome="not run" if unsolved else "failed",
                    output=str(error),
                    seconds=time.monotonic() - started,
                )
            )
        else:
            steps.append(
                StepReport(name="install", outcome="passed", seconds=time.monotonic() - started)
            )
            session = _Session(environment=environment, runner=runner)
            for step in _steps(loaded, session, scratch=Path(folder)):
                narrator.say(f"{package.name}: {step.name}: {step.outcome} ({step.seconds:.0f} s)")
                steps.append(step)
    return PackageReport(
        package=package.name,
        subdir=machine.subdir,
        how=runner.description,
        steps=tuple(steps),
        runs=runner.runs,
    )


def _needed(package: Package) -> list[str]:
    """List what the tests need beside the package: pip for ``pip_check``, their own ``run``."""
    needed: set[str] = set()
    for test in package.tests:
        if isinstance(test, PythonTest) and test.pip_check:
            needed.add("pip")
        if isinstance(test, CommandsTest):
            needed.update(test.requirements_run)
    return sorted(needed)


def _steps(package: Package, session: _Session, *, scratch: Path) -> list[StepReport]:
    steps: list[StepReport] = []
    for test in package.tests:
        if isinstance(test, PythonTest):
            steps.extend(
                _run(
                    f"import {module}",
                    session.python(["-c", f"import {module}"]),
                    session,
                    cwd=scratch,
                )
                for module in test.imports
            )
            if test.pip_check:
                steps.append(
                    _run("pip check", session.python(["-m", "pip", "check"]), session, cwd=scratch)
                )
        elif isinstance(test, CommandsTest):
            steps.extend(_script(test, session))
        elif isinstance(test, PackageContentsTest):
            steps.append(_contents(package, test))
    return steps


def _script(test: CommandsTest, session: _Session) -> list[StepReport]:
    """Run a script test line by line, in the folder rattler-build packed its files into."""
    # lines alone where it has no folder of its own
    found: Any = test.script
    script: dict[str, Any] = found if isinstance(found, dict) else {"content": found}
    content = script.get("content", [])
    lines = [content] if isinstance(content, str) else list(content)
    cwd = session.environment.prefix / str(script.get("cwd", "."))
    return [_run(line, _shell(line, session), session, cwd=cwd) for line in lines]


def _shell(line: str, session: _Session) -> list[str]:
    words = shlex.split(line)
    if words[0] == "python":
        return session.python(words[1:])
    return ["/bin/sh", "-euc", line]


def _run(name: str, command: list[str], session: _Session, *, cwd: Path) -> StepReport:
    if not session.runner.runs:
        return StepReport(name=name, outcome="not run", seconds=0.0)
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=STEP_TIMEOUT,
            check=False,
            env=clean_environment(session.environment.prefix, session.runner, os.environ),
        )
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        code, output = -1, f"no end after {STEP_TIMEOUT:.0f} s"
    tail = "" if code == 0 else "\n".join([*output.splitlines()[-_TAIL:], f"exit code {code}"])
    return StepReport(
        name=name,
        outcome="passed" if code == 0 else "failed",
        seconds=time.monotonic() - started,
        output=tail,
    )


def _contents(package: Package, test: PackageContentsTest) -> StepReport:
    """Let rattler-build judge its own content checks: they need no environment."""
    started = time.monotonic()
    result = package.run_test(test.index, channel=[])
    return StepReport(
        name="package contents",
        outcome="passed" if result.success else "failed",
        seconds=time.monotonic() - started,
        output="" if result.success else "\n".join(result.output[-_TAIL:]),
    )
