"""What a machine is, which cell fits it, and the command that installs it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ConfigDict

from generator.datafiles import subdirs
from generator.explaining.computer import Computer
from generator.explaining.facts import jetpacks
from generator.explaining.notices import Notice, dies
from generator.model import Cell, Lock
from generator.naming.virtual_packages import floor

_CLOSED = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """All of ``armtorch doctor``."""

    __pydantic_config__ = _CLOSED

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
        and not dies(computer, "pytorch", cell.torch)
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
    row = next((r for r in jetpacks() if computer.jetpack and r.jetpack == computer.jetpack), None)
    board_takes = cell.accelerator.tegra if row and not row.sbsa else not cell.accelerator.tegra
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
    for text in computer.virtual_packages:
        found, _, version = text.partition("=")
        if found == name:
            parts = version.split("=")[0].split(".")
            return tuple(int(part) for part in parts if part.isdigit())
    return ()
