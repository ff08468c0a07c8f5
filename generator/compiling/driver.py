"""Makes one row: root, tree, units, wheel. Each is made once; a run goes on where one ended."""

from __future__ import annotations

import json
import shutil
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from filelock import FileLock, Timeout

from generator.atomic import write_text
from generator.compiling.emulated import emulated_setup, lay_wheel, wheel_upon
from generator.compiling.ninja import STATUS, Failure, Progress, run_ninja
from generator.compiling.planning import WHEEL, Plan
from generator.compiling.root import check_namespaces, make_root, private_apt
from generator.compiling.running import run
from generator.compiling.toolchain import Toolchain, toolchain_of
from generator.compiling.tree import (
    INSIDE,
    Tree,
    fetch_files,
    make_tree,
    patches_of,
    tree_folder,
)
from generator.compiling.wheel import keep_wheel, setup_command
from generator.console import Narrator
from generator.documents import load_json, read_bytes
from generator.errors import BuildError
from generator.feedstock import Source

#: seconds between two lines about how far it is
_EVERY: Final = 60.0
#: lines about how far it is that the pace is taken from
_MINUTES: Final = 15
_STATE_BYTES: Final = 1 << 16


State = Literal["done", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One row: how far it is, and the wheel where there is one."""

    name: str
    state: State
    #: units that are made, of all that its targets need
    done: int
    total: int
    #: of processor time, and bytes of the largest process, in all runs on this tree
    seconds: float
    largest: int
    failures: tuple[Failure, ...] = ()
    #: folder with the source, its build and the log
    tree: str = ""
    wheel: str = ""
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a run goes."""

    #: root, sources, trees and ccache
    work: Path
    #: folder that wheels are put into
    out: Path
    #: of the monotonic clock
    deadline: float | None = None


def compile_source(
    plan: Plan, rows: Mapping[str, Source], feedstock: Path, options: Options, narrator: Narrator
) -> Outcome:
    """Make a row's targets; ``rows`` are all of the feedstock's, whose folder ``feedstock`` is.

    Raises ArmtorchError: a tool or a package is not to be had, a file is not what it should be, a
    patch does not fit, or CMake refuses. Units that fail are in the outcome.
    """
    source, toolchain = plan.source, toolchain_of(plan.source)
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    check_namespaces()
    free = shutil.disk_usage(work).free
    if plan.disk is not None and free < plan.disk:
        narrator.warn(f"{work} has {free / 1e9:.1f} GB left, and this takes {plan.disk / 1e9:.1f}")
    with _alone(work):
        beside = [row for row in rows.values() if (row.subdir, row.suite) == _of(source)]
        root = make_root(work, toolchain, beside, narrator)
        patches = patches_of(source, feedstock)
        upon = wheel_upon(source, rows, options.out)
        tree = Tree(
            folder=tree_folder(work / "trees", plan.name, source, patches, root, upon),
            root=root,
            cache=work / "ccache",
            environment={
                "SOURCE_DATE_EPOCH": str(source.epoch),
                "NINJA_STATUS": STATUS,
                **_versioned(source.environment, source),
            },
        )
        for folder in (tree.cache, tree.folder):
            folder.mkdir(parents=True, exist_ok=True)
        files = fetch_files(work, source, lambda: private_apt(work, toolchain))
        make_tree(tree, source, files, patches)
        if upon:
            lay_wheel(tree, upon, options.out)
            flags = _toolchain_file(tree, toolchain)
            command = emulated_setup(tree, source, toolchain, flags, plan.jobs)
        else:
            _configure(tree, source, toolchain, narrator)
            command = _ninja(tree, plan)
        outcome = _units(tree, plan, command, options, narrator)
        if outcome.state == "done" and WHEEL in plan.targets:
            if not upon:
                said = run(setup_command(tree, ("python3",), toolchain, {}))
                write_text(tree.folder / "wheel.log", said)
            path, sha256 = keep_wheel(tree, source, toolchain, patches, upon, options.out)
            outcome = replace(outcome, wheel=str(path), sha256=sha256)
        return outcome


def _of(source: Source) -> tuple[str, str]:
    return source.subdir, source.suite


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Keep a second run off the same folder; the lock is gone with the process."""
    try:
        with FileLock(work / "lock", timeout=0):
            yield
    except Timeout as error:
        raise BuildError(
            "another run compiles there",
            where=str(work),
            next_step="wait for it, or name another folder with --work",
        ) from error


def _versioned(values: Mapping[str, str], source: Source) -> dict[str, str]:
    return {name: value.replace("{version}", source.full_version) for name, value in values.items()}


def _toolchain_file(tree: Tree, toolchain: Toolchain) -> str:
    """Write down for CMake what compiles; return the compiler's flags."""
    # one name for the tree wherever it lies is not enough: messages and logs hold no /armtorch
    maps = f"-ffile-prefix-map={INSIDE}/="
    settings = {
        **toolchain.cmake,
        "CMAKE_C_FLAGS_INIT": f"{toolchain.flags} {maps}",
        "CMAKE_CXX_FLAGS_INIT": f"{toolchain.flags} {maps}",
        "CMAKE_ASM_FLAGS_INIT": f"{toolchain.assembler} {maps}",
    }
    lines = (f'set({name} "{value}")\n' for name, value in settings.items())
    write_text(tree.folder / "toolchain.cmake", "".join(lines))
    return settings["CMAKE_CXX_FLAGS_INIT"]


def _configure(tree: Tree, source: Source, toolchain: Toolchain, narrator: Narrator) -> None:
    """Let CMake write build.ninja, once."""
    done = tree.folder / "configured"
    if done.is_file():
        return
    narrator.say("configure")
    _toolchain_file(tree, toolchain)
    flags = {
        "CMAKE_TOOLCHAIN_FILE": f"{INSIDE}/toolchain.cmake",
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_C_COMPILER_LAUNCHER": "ccache",
        "CMAKE_CXX_COMPILER_LAUNCHER": "ccache",
        **_versioned(source.flags, source),
    }
    said = run(
        tree.command(
            *("cmake", "--fresh", "-G", "Ninja", "-S", f"{INSIDE}/source"),
            *("-B", f"{INSIDE}/source/build"),
            *(f"-D{name}={value}" for name, value in flags.items()),
        )
    )
    write_text(tree.folder / "configure.log", said)
    write_text(done, "")


def _targets(plan: Plan) -> list[str]:
    return ["install" if each == WHEEL else each for each in plan.targets]


def _ninja(tree: Tree, plan: Plan) -> list[str]:
    jobs = ("-k", "0", "-j", str(plan.jobs))
    return tree.command("ninja", "-C", f"{INSIDE}/source/build", *jobs, *_targets(plan))


def _units(
    tree: Tree, plan: Plan, command: list[str], options: Options, narrator: Narrator
) -> Outcome:
    """Run ninja, alone or by setup.py, and say how far it is."""
    state = _State.read(tree.folder / "progress.json", " ".join(_targets(plan)))
    teller = _Teller(state, narrator)
    progress, log = Progress(), tree.folder / "ninja.log"
    try:
        run_ninja(command, log, deadline=options.deadline, tell=teller.tell, progress=progress)
    finally:
        state.seconds += progress.seconds
        state.largest = max(state.largest, progress.largest)
        state.write()
    ended: State = "done" if progress.code == 0 else "failed"
    if progress.stopped:
        ended = "stopped"
    elif ended == "failed" and not progress.failures:
        raise BuildError(
            f"{'setup.py' if plan.source.upon else 'ninja'} ended with {progress.code}",
            where=str(log),
            next_step="read what it said there",
        )
    return Outcome(
        name=plan.name,
        state=ended,
        done=state.total if ended == "done" else state.done(progress),
        total=state.total,
        seconds=round(state.seconds, 1),
        largest=state.largest,
        failures=tuple(progress.failures),
        tree=str(tree.folder),
    )


class _State:
    """What runs on a tree leave for the next one: units of all, and what they took."""

    def __init__(self, path: Path, targets: str, content: dict[str, Any]) -> None:
        self._path, self._targets, self._totals = path, targets, content.get("totals", {})
        self.total: int = self._totals.get(targets, 0)
        self.seconds: float = content.get("seconds", 0.0)
        self.largest: int = content.get("largest", 0)

    @classmethod
    def read(cls, path: Path, targets: str) -> _State:
        """Read it, or begin."""
        content = load_json(read_bytes(path, _STATE_BYTES), str(path)) if path.is_file() else {}
        return cls(path, targets, content)

    def see(self, progress: Progress) -> None:
        """Learn how many units there are: as many as the run had that began with none."""
        if progress.total > self.total:
            self.total = progress.total
            self.write()

    def done(self, progress: Progress) -> int:
        """Count what is made, in earlier runs, too."""
        return self.total - progress.total + progress.done - len(progress.failures)

    def write(self) -> None:
        """Keep it."""
        content = {
            "largest": self.largest,
            "seconds": round(self.seconds, 1),
            "totals": {**self._totals, self._targets: self.total},
        }
        write_text(self._path, json.dumps(content, indent=1, sort_keys=True) + "\n")


class _Teller:
    """Says once a minute how far it is, and how long the rest takes at the last minutes' pace."""

    def __init__(self, state: _State, narrator: Narrator) -> None:
        self._state, self._narrator = state, narrator
        #: when something was said, and the units that were done then; what ccache had goes fast
        self._said = deque([(time.monotonic(), 0)], maxlen=_MINUTES)

    def tell(self, progress: Progress) -> None:
        """Hear of each line that ninja says."""
        self._state.see(progress)
        now, (since, before) = time.monotonic(), self._said[0]
        if now - self._said[-1][0] < _EVERY or progress.done <= before:
            return
        left = (now - since) / (progress.done - before) * (progress.total - progress.done)
        self._said.append((now, progress.done))
        failed = f", {len(progress.failures)} failed" if progress.failures else ""
        self._narrator.say(
            f"{self._state.done(progress)} of {self._state.total} units{failed}, "
            f"about {left // 3600:.0f} h {left % 3600 // 60:.0f} min left"
        )
