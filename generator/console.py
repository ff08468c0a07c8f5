"""What a person sees while something long runs: bars on a terminal, plain lines elsewhere.

Results go to standard output, narration to standard error, so that ``--json`` and pipes stay clean.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


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
    ) -> _TaskContext:
        """Open a piece of work of ``total`` bytes (unit ``bytes``) or steps."""


class _TaskContext(Protocol):
    def __enter__(self) -> Task: ...
    def __exit__(self, *_: object) -> None: ...


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
        self, text: str, *, total: int | None = None, unit: str = "steps"  # noqa: ARG002
    ) -> Iterator[Task]:
        """Open a task nobody sees."""
        yield _SilentTask()


class _PlainTask:
    """Prints a line every ``every`` seconds, so that a log of hours stays short and alive."""

    def __init__(self, narrator: Plain, text: str, total: int | None, unit: str) -> None:
        self._narrator, self._text, self._total, self._unit = narrator, text, total, unit
        self._done, self._last = 0, time.monotonic()

    def advance(self, amount: int) -> None:
        self._done += amount
        if time.monotonic() - self._last >= self._narrator.every:
            self._last = time.monotonic()
            self._narrator.say(f"{self._text}: {self._amount()}")

    def _amount(self) -> str:
        if self._unit == "bytes":
            done = f"{self._done / 1e6:.0f}"
            return f"{done} of {self._total / 1e6:.0f} MB" if self._total else f"{done} MB"
        return f"{self._done} of {self._total}" if self._total else str(self._done)


class Plain:
    """Lines on standard error, for logs and pipes."""

    every = 10.0

    def say(self, text: str) -> None:
        """Print ``text``."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def warn(self, text: str) -> None:
        """Print ``text`` as a warning."""
        self.say(f"warning: {text}")

    @contextmanager
    def task(self, text: str, *, total: int | None = None, unit: str = "steps") -> Iterator[Task]:
        """Open a task that reports every ten seconds."""
        yield _PlainTask(self, text, total, unit)


class _BarTask:
    def __init__(self, progress: Progress, text: str, total: int | None) -> None:
        self._progress, self._id = progress, progress.add_task(text, total=total)

    def advance(self, amount: int) -> None:
        self._progress.advance(self._id, amount)


class Bars:
    """Progress bars by rich, on a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        """Print ``text`` above the bars."""
        self._console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Print ``text`` in yellow above the bars."""
        self._console.print(f"warning: {text}", style="yellow", markup=False)

    @contextmanager
    def task(self, text: str, *, total: int | None = None, unit: str = "steps") -> Iterator[Task]:
        """Open a bar that goes when the work ends."""
        amount: list[ProgressColumn] = (
            [DownloadColumn(), TransferSpeedColumn()] if unit == "bytes" else [MofNCompleteColumn()]
        )
        columns = [TextColumn("{task.description}"), BarColumn(), *amount, TimeRemainingColumn()]
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield _BarTask(progress, text, total)


def narrator(*, quiet: bool = False) -> Narrator:
    """Choose what fits: silence, bars on a terminal, or plain lines."""
    if quiet:
        return Silent()
    return Bars() if sys.stderr.isatty() else Plain()
