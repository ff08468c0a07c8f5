"""Runs one job in a process of its own and says what it cost."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cost:
    """What a process and the programs it started used."""

    wall_seconds: float
    cpu_seconds: float
    #: of the largest process among them
    peak_mib: float

    def to_json(self) -> dict[str, float]:
        return {name: round(value, 2) for name, value in asdict(self).items()}


def peak_mib(used: resource.struct_rusage) -> float:
    """Return the most memory that was in use: kernels count it in bytes (macOS) or KiB."""
    return used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def own_peak_mib() -> float:
    """Return the most memory that this program had in use.

    What a kernel counts for a process has, on Linux, what its parent had when it began it; the
    high-water mark of its own memory has not (proc(5), VmHWM, in KiB).
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_mib(resource.getrusage(resource.RUSAGE_SELF))
    lines = status.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def run_module(module: str, *arguments: str) -> tuple[Cost, Any]:
    """Run ``python -m module arguments`` and return its cost and the JSON it prints."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    output = process.stdout.read()
    # wait4 counts this child and the children it waited for, and nobody else's
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        msg = f"{module} {' '.join(arguments)} ended with {process.returncode}"
        raise SystemExit(msg)
    cost = Cost(
        wall_seconds=time.monotonic() - started,
        cpu_seconds=used.ru_utime + used.ru_stime,
        peak_mib=peak_mib(used),
    )
    return cost, json.loads(output) if output.strip() else None
