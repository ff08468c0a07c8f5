"""What a person sees while something long runs: bars on a terminal, plain lines elsewhere.

Results go to standard output, narration to standard error, so that ``--json`` and pipes stay clean.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import Protocol

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Task as RichTask

from generator.printing import shown


class Task(Protocol):
    """A running piece of work that can say how far it is."""

    def advance(self, amount: int) -> None:
        """Say that ``amount`` more bytes or steps are done."""


class Narrator(Protocol):
    """Where stages report to; the stages know nothing of terminals."""

    def say(self, text: str) -> None:
        """Tell one finished fact."""

    def warn(self, text: str) -> None:
        """Tell something that went otherwise than asked, and was survived."""

    def task(
        self, text: str, *, total: int | None = None, unit: str = "steps"
    ) -> AbstractContextManager[Task]:
        """Open a piece of work of ``total`` bytes (unit ``bytes``) or steps."""


class _SilentTask:
    def advance(self, amount: int) -> None:
        pass


class Silent:
    """Says nothing: for tests and for library use."""

    def say(self, text: str) -> None:
        """Drop ``text``."""

    def warn(self, text: str) -> None:
        """Drop ``text``."""

    @contextmanager
    def task(
        self,
        text: str,  # noqa: ARG002
        *,
        total: int | None = None,  # noqa: ARG002
        unit: str = "steps",  # noqa: ARG002
    ) -> Iterator[Task]:
        """Open a task nobody sees."""
        yield _SilentTask()


class _PlainTask:
    """Prints a line every ``every`` seconds, so that a log of hours stays short and alive."""

    def __init__(self, narrator: Plain, text: str, total: int | None, unit: str) -> None:
        self._narrator, self._text, self._total, self._unit = narrator, text, total, unit
        self._done, self._last = 0, time.monotonic()
        self._started = self._last

    def advance(self, amount: int) -> None:
        self._done += amount
        if time.monotonic() - self._last >= self._narrator.every:
            self._last = time.monotonic()
            self._narrator.say(f"{self._text}: {self._amount()}")

    def _amount(self) -> str:
        if self._unit == "bytes":
            done = f"{self._done / 1e6:.0f}"
            rate = self._done / max(time.monotonic() - self._started, 1e-3)
            if not self._total:
                return f"{done} MB, {rate / 1e6:.1f} MB/s"
            left = f", {(self._total - self._done) / rate:.0f} s left" if rate > 0 else ""
            return f"{done} of {self._total / 1e6:.0f} MB, {rate / 1e6:.1f} MB/s{left}"
        return f"{self._done} of {self._total}" if self._total else str(self._done)


class Plain:
    """Lines on standard error, for logs and pipes."""

    every = 10.0

    def say(self, text: str) -> None:
        """Print ``text``."""
        sys.stderr.write(f"{shown(text)}\n")
        sys.stderr.flush()

    def warn(self, text: str) -> None:
        """Print ``text`` as a warning."""
        self.say(f"warning: {text}")

    @contextmanager
    def task(self, text: str, *, total: int | None = None, unit: str = "steps") -> Iterator[Task]:
        """Open a task that reports every ten seconds."""
        yield _PlainTask(self, text, total, unit)


class _BarTask:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, amount: int) -> None:
        self._progress.advance(self._task, amount)


class _AmountColumn(ProgressColumn):
    """Bytes as bytes, steps as a count: both kinds of task share one display."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes, self._steps = DownloadColumn(), MofNCompleteColumn()

    def render(self, task: RichTask) -> RenderableType:
        column = self._bytes if task.fields["unit"] == "bytes" else self._steps
        return column.render(task)


class _RateColumn(ProgressColumn):
    """Bytes a second, for what is counted in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._speed = TransferSpeedColumn()

    def render(self, task: RichTask) -> RenderableType:
        return self._speed.render(task) if task.fields["unit"] == "bytes" else ""


class Bars:
    """Progress bars by rich, on a terminal; one display for tasks that run side by side."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            _AmountColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._open = 0
        self._guard = Lock()

    def say(self, text: str) -> None:
        """Print ``text`` above the bars."""
        self._console.print(shown(text), markup=False)

    def warn(self, text: str) -> None:
        """Print ``text`` in yellow above the bars."""
        self._console.print(f"warning: {shown(text)}", style="yellow", markup=False)

    @contextmanager
    def task(self, text: str, *, total: int | None = None, unit: str = "steps") -> Iterator[Task]:
        """Open a bar that goes when the work ends."""
        with self._guard:
            self._open += 1
            if self._open == 1:
                self._progress.start()
        row = self._progress.add_task(escape(shown(text)), total=total, unit=unit)
        try:
            yield _BarTask(self._progress, row)
        finally:
            self._progress.remove_task(row)
            with self._guard:
                self._open -= 1
                if self._open == 0:
                    self._progress.stop()


def narrator(*, quiet: bool = False) -> Narrator:
    """Choose what fits: silence, bars on a terminal, or plain lines."""
    if quiet:
        return Silent()
    return Bars() if sys.stderr.isatty() else Plain()
