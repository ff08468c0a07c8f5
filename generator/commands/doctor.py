"""``armtorch doctor``."""

from __future__ import annotations

import click

from generator.commands.options import json_option, virtual_option
from generator.commands.reaching import reach_options
from generator.explaining import Checkup, to_json
from generator.explaining.answering import Reach, check_machine
from generator.printing import write, write_json_text
from generator.project import Project


@click.command("doctor")
@virtual_option(
    "virtual",
    help="Set a virtual package, for example __cuda=13.0; CONDA_OVERRIDE_CUDA does the same.",
)
@reach_options
@json_option
@click.pass_obj
def command(project: Project, virtual: tuple[str, ...], reach: Reach, *, as_json: bool) -> None:
    """Say what this machine is, which cell fits it, and the command that installs it.

    \b
    Examples:
      armtorch doctor
      armtorch doctor --channel file:///srv/channel --json
      armtorch doctor --root /mnt/sdcard    the system on that disk
      armtorch doctor --virtual __cuda=13.0    as if a driver for CUDA 13.0 were there
    """
    found = check_machine(project, reach, virtual)
    if as_json:
        write_json_text(to_json(Checkup, found))
    else:
        _show(found)


def _show(found: Checkup) -> None:
    computer = found.computer
    rows = [
        ("board", computer.board),
        ("hardware", computer.hardware),
        ("programs", computer.userland if computer.userland != computer.hardware else ""),
        ("conda", computer.conda or "none was found"),
        ("JetPack", f"{computer.jetpack} (L4T {computer.l4t})" if computer.jetpack else ""),
        ("virtual packages", " ".join(computer.virtual_packages)),
    ]
    for name, value in rows:
        if value:
            write(f"{name + ':':18}{value}")
    for warning in found.warnings:
        write(f"Warning: {warning.text}; {warning.advice}.")
    if found.cell:
        write(f"{'cell that fits:':18}{found.cell}")
        if found.companions:
            more = ", ".join(f"{name} {version}" for name, version in found.companions.items())
            write(f"{'with it:':18}{more}")
    else:
        write("No cell of this feedstock fits this machine: see armtorch matrix")
    if not found.command:
        return
    state = "solved on the channels" if found.verified else f"not verified: {found.detail}"
    write(f"command ({state}):\n  {found.command}")
