"""What a machine is, which cell fits it, and the command that installs it."""

from __future__ import annotations

from dataclasses import dataclass

from generator.explaining.boards import best_first, serves
from generator.explaining.computer import Computer
from generator.explaining.notices import Notice, built, fatal
from generator.model import Cell, Lock


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """All of ``armtorch doctor``."""

    computer: Computer
    #: ``2.10/linux-aarch64/cpu``; "" when no cell fits
    cell: str
    #: what it has beside its trio -> version
    companions: dict[str, str]
    command: str
    #: whether the command was solved on the channels, and why not
    verified: bool
    detail: str
    warnings: tuple[Notice, ...]


def fitting_cell(lock: Lock, computer: Computer) -> Cell | None:
    """Return the newest stable cell whose whole trio runs on the machine, CUDA where it can."""
    cells = [
        cell
        for cell in lock.cells
        if cell.train == "stable"
        and len(cell.trio) == 3
        and serves(cell, computer)
        and not fatal(computer.machine(), computer, [built(cell.subdir, "pytorch", cell.torch)])
    ]
    return next(iter(best_first(cells)), None)
