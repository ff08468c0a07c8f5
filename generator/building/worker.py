"""One variant in one fresh process with a folder of its own: rattler-build, seal, linkage check.

A process because rattler-build holds the interpreter's lock while it builds, a private folder
because it names its own by package and second, so that two at once would collide
(tried with py-rattler-build 0.73).
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, TextIO

from rattler_build import RattlerBuildError, ToolConfiguration

from generator.building.judging import Audit, Contents, Judgement
from generator.building.policy import policy
from generator.building.recipe import Inputs, render
from generator.building.seal import Sealed, seal
from generator.building.wheelhouse import forget
from generator.documents import lay_over
from generator.errors import ArmtorchError, BuildError, IntegrityError, StorageError
from generator.evaluating import forget_environment
from generator.model import Variant
from generator.model.provenance import Provenance

_NO_SPACE: Final = ("No space left on device", "StorageFull", "os error 28", "os error 112")
#: rattler-build's words when the script ended with an error, which has its reason in the log
_SCRIPT_FAILED: Final = "Script failed"
#: rattler-build's words for a source that is not the recipe's
_CHECKSUM: Final = "checksum validation failed"
_TAIL_LINES: Final = 30


@dataclass(frozen=True, kw_only=True)
class Job:
    """The work of one process."""

    variant: Variant
    repo: Path
    #: private to this job; removed by whoever made it
    folder: Path
    log: Path
    #: the variant's wheels in the wheelhouse
    wheels: tuple[Path, ...]
    level: int
    cores: int
    audit: Audit | None
    provenance: Provenance | None = None
    #: the channel's own rows, which the audit goes by
    local_data: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the process sends back: a sealed package or an error."""

    sealed: Sealed | None = None
    error: ArmtorchError | None = None
    cpu_seconds: float = 0.0


def run(job: Job, answer: Connection[Any, Any]) -> None:
    """Do ``job`` in this process and send an Outcome; everything printed goes to the log."""
    if hasattr(os, "setsid"):
        os.setsid()  # so that the driver can end this process with the script it runs
    lay_over(job.local_data)
    with job.log.open("w", encoding="utf-8", errors="replace", buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            outcome = Outcome(sealed=_build(job, log), cpu_seconds=_cpu_seconds())
        except ArmtorchError as error:
            outcome = Outcome(error=error, cpu_seconds=_cpu_seconds())
        except OSError as error:
            outcome = Outcome(error=_storage(error, job), cpu_seconds=_cpu_seconds())
    answer.send(outcome)


def _build(job: Job, log: TextIO) -> Sealed:
    rules = policy().seal
    forget_environment()  # whatever a recipe or a script does, it finds no secret
    # a machine may have no `python` beside python3; rattler-build looks for one on PATH
    os.environ["PATH"] = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    )
    # rattler-build copies the whole package to the temporary folder: keep it where the driver
    # clears up, and off a /tmp that may be small
    for name in ("TMPDIR", "TMP", "TEMP"):
        os.environ[name] = str(job.folder)
    draft = _draft(job, log, rules.draft_level)

    def judge(
        index: dict[str, Any], files: dict[str, str | None], binaries: tuple[str, ...]
    ) -> Judgement:
        if job.audit is None:
            return Judgement()
        contents = Contents(
            variant=job.variant, index=index, files=files, binaries=binaries, prefix=_prefix(job)
        )
        with _step(log, f"checked {len(binaries)} binaries"):
            return job.audit(contents)

    with _step(log, f"sealed at level {job.level}"):
        return seal(
            draft,
            job.folder / draft.name,
            milliseconds=rules.timestamp(job.variant.wheels),
            level=job.level,
            cores=job.cores,
            rules=rules,
            token=job.folder.name.encode(),
            judge=judge,
            provenance=job.provenance,
            purls=job.variant.purls,
        )


def _draft(job: Job, log: TextIO, level: int) -> Path:
    variant = render(Inputs.of(job.variant, job.repo))
    output = job.folder / "out"
    try:
        # keep_build: the linkage check opens the binaries where they were packed from
        result = variant.run_build(
            tool_config=ToolConfiguration(
                test_strategy="skip", compression_threads=1, keep_build=True
            ),
            output_dir=output,
            channels=[],
            package_format=f"conda:{level}",
            progress_callback=_Log(log),
        )
    except RattlerBuildError as error:
        raise _failure(job, error) from error
    return Path(result.packages[0])


def _prefix(job: Job) -> Path:
    prefixes = sorted((job.folder / "out" / "bld").glob("*/host_env*"))
    if len(prefixes) != 1:
        raise BuildError(
            f"rattler-build left {len(prefixes)} prefixes behind, not one",
            where=job.variant.id,
            next_step="report it with the log",
        )
    return prefixes[0]


class _Log:
    """Writes rattler-build's events to the log as they come (its ProgressCallback)."""

    def __init__(self, log: TextIO) -> None:
        self._log = log

    def on_log(self, event: Any) -> None:
        self._log.write(f"{event.message}\n")

    def on_build_step(self, event: Any) -> None:
        """Do nothing: the same text comes as a log event."""

    def on_download_start(self, event: Any) -> None:
        """Do nothing: nothing is downloaded."""

    def on_download_progress(self, event: Any) -> None:
        """Do nothing: nothing is downloaded."""

    def on_download_complete(self, event: Any) -> None:
        """Do nothing: nothing is downloaded."""


@contextmanager
def _step(log: TextIO, text: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    log.write(f"armtorch: {text} in {time.monotonic() - start:.1f} s\n")


def _failure(job: Job, error: RattlerBuildError) -> ArmtorchError:
    lines = job.log.read_text(encoding="utf-8", errors="replace").splitlines()
    tail = "\n".join(lines[-_TAIL_LINES:])
    if any(sign in f"{tail}{error}" for sign in _NO_SPACE):
        return _no_space(job)
    if _SCRIPT_FAILED not in str(error) and _is_full(job.folder):
        return _no_space(job)
    if _CHECKSUM in f"{tail}{error}":
        for wheel in job.wheels:
            forget(wheel)
        return IntegrityError(
            "a wheel of the wheelhouse has other bytes than when it was verified",
            where=", ".join(map(str, job.wheels)),
            next_step="run the same command again: the wheel is checked, and fetched anew",
        )
    return BuildError(
        f"{error}\n{tail}",
        where=job.variant.id,
        next_step=f"read the whole log, {job.log}",
    )


def _storage(error: OSError, job: Job) -> StorageError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return _no_space(job)
    return StorageError(
        error.strerror or str(error),
        where=str(error.filename or job.folder),
        next_step="check permissions and free space, then run `armtorch build` again",
    )


def _is_full(folder: Path) -> bool:
    """Whether less is free than rattler-build needs for its copy of the package.

    It says "could not write to file" for want of space too, and removes the copy before it does.
    """
    used = sum(path.lstat().st_size for path in folder.rglob("*"))
    return shutil.disk_usage(folder).free < used


def _no_space(job: Job) -> StorageError:
    return StorageError(
        "no space left to build in",
        where=str(job.folder.parent),
        next_step="free some space, then run `armtorch build` again; finished packages are kept",
    )


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
