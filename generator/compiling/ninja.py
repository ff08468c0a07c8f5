"""Runs ninja and reads what it says: units done of all, what failed and why, and an end in time."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Final

#: ninja numbers what it finishes; NINJA_STATUS makes lines that nothing else begins like
STATUS: Final = "@armtorch %f %t@ "
_STEP: Final = re.compile(r"@armtorch (\d+) (\d+)@ ")
_FAILED: Final = re.compile(r"FAILED: (?:\[code=\d+\] )?(.+)")
_CAUSE: Final = re.compile(r"(error: .*|undefined reference .*|Killed.*|internal compiler .*)")
#: seconds that ninja is given to end what it started
_PATIENCE: Final = 30


@dataclass(frozen=True)
class Failure:
    """A unit that could not be made, and the first thing that was said of it."""

    unit: str
    cause: str


@dataclass
class Progress:
    """How far one run of ninja is."""

    #: units finished in this run, and those that it had to make
    done: int = 0
    total: int = 0
    failures: list[Failure] = field(default_factory=list)
    #: of processor time, and bytes of the largest process
    seconds: float = 0.0
    largest: int = 0
    #: why it ended before its end: "" where it did not
    stopped: str = ""
    code: int = 0
    _unit: str = ""

    def read(self, line: str) -> None:
        """Take in a line of ninja's."""
        step = _STEP.match(line)
        if step:
            self.done, self.total = int(step[1]), int(step[2])
            self._unit = ""
        elif failed := _FAILED.match(line):
            self._unit = failed[1].split()[0]
            self.failures.append(Failure(self._unit, "it said nothing"))
        elif self._unit and (cause := _CAUSE.search(line)):
            self.failures[-1] = Failure(self._unit, cause[1].strip())
            self._unit = ""


def run_ninja(
    command: list[str],
    log: Path,
    *,
    deadline: float | None,
    tell: Callable[[Progress], None],
    progress: Progress,
) -> None:
    """Run ninja to its end or until ``deadline`` (of the monotonic clock); its words go to ``log``.

    How far it is stands in ``progress``, also where Ctrl-C ends it. What it was making then is
    dropped, by ninja itself, and made anew by the next run.
    """
    before = getrusage(RUSAGE_CHILDREN)
    try:
        progress.code = _run(command, log, deadline, tell, progress)
    finally:
        after = getrusage(RUSAGE_CHILDREN)
        progress.seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        progress.largest = after.ru_maxrss * 1024


def _run(
    command: list[str],
    log: Path,
    deadline: float | None,
    tell: Callable[[Progress], None],
    progress: Progress,
) -> int:
    with (
        log.open("a", encoding="utf-8") as said,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            umask=0o022,  # modes of files go into wheels
        ) as process,
        _ending(process, deadline, progress),
    ):
        for line in process.stdout or ():
            said.write(line)
            progress.read(line)
            tell(progress)
    return process.returncode


@contextmanager
def _ending(
    process: subprocess.Popen[str], deadline: float | None, progress: Progress
) -> Iterator[None]:
    """End ninja at the deadline, and on Ctrl-C, and leave none behind."""

    def stop() -> None:
        progress.stopped = "time"
        process.send_signal(signal.SIGINT)

    timer = None
    if deadline is not None:
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), stop)
        timer.daemon = True
        timer.start()
    try:
        yield
    except BaseException:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    finally:
        if timer is not None:
            timer.cancel()
