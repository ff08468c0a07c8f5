"""What a machine is, which cell fits it, and the command that installs it."""

from __future__ import annotations

from dataclasses import dataclass

from generator.datafiles import subdirs
from generator.explaining.computer import Computer, is_tegra, virtual_of
from generator.explaining.notices import Notice, built, fatal
from generator.model import Cell, Lock
from generator.naming.virtual_packages import floor


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """All of ``armtorch doctor``."""

    computer: Computer
    #: ``2.10/linux-aarch64/cpu``; "" when no cell fits
    cell: str
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
        if cell.subdir == computer.subdir
        and cell.train == "stable"
        and len(cell.trio) == 3
        and _computes(cell, computer)
        and _old_enough(cell, computer)
        and not fatal(computer.machine(), computer, [built(cell.subdir, "pytorch", cell.torch)])
    ]
    return max(
        cells,
        key=lambda cell: (
            cell.accelerator.cuda is not None,
            [int(part) for part in cell.torch.split(".") if part.isdigit()],
        ),
        default=None,
    )


def _computes(cell: Cell, computer: Computer) -> bool:
    needed = cell.accelerator.cuda
    if needed is None:
        return True
    cuda = _version(computer, "__cuda")
    board_takes = cell.accelerator.tegra == is_tegra(computer)
    # a driver serves every minor of its major (CUDA minor version compatibility)
    return bool(cuda) and cuda[0] >= needed[0] and board_takes


def _old_enough(cell: Cell, computer: Computer) -> bool:
    """Whether the C library or macOS is new enough for the wheels' platform tags."""
    if computer.musl:
        return False
    subdir = subdirs()[cell.subdir]
    name = {"linux": "__glibc", "osx": "__osx"}.get(subdir.os, "")
    have = _version(computer, name)
    floors = [floor(wheel.platforms, subdir=subdir) for wheel in cell.wheels_of("torch")]
    return all(least is None or have >= least for least in floors) if have else True


def _version(computer: Computer, name: str) -> tuple[int, ...]:
    version = virtual_of(computer.virtual_packages, name).partition(" ")[0]
    return tuple(int(part) for part in version.split(".") if part.isdigit())
