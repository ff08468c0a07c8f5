"""``python -m tests.synthetic_wheels``: writes synthetic wheels to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from tests.synthetic_wheels import CORRUPTIONS, Release, corrupt
from tests.synthetic_wheels.binaries import platforms
from tests.synthetic_wheels.projects import Difference

PROJECTS = ("torch", "torchvision", "torchaudio", "triton")


@click.command(
    epilog="Example: python -m tests.synthetic_wheels --out /tmp/wheels --subdir win-arm64 "
    "--local cpu --python cp312 --python cp313"
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="Folder to write to; made where there is none.")  # fmt: skip
@click.option("--subdir", type=click.Choice(list(platforms())), multiple=True,
              help="Default: all four.")  # fmt: skip
@click.option("--python", "pythons", multiple=True, default=("cp311", "cp312", "cp314t"),
              show_default=True, help="ABI tag.")  # fmt: skip
@click.option("--project", "projects", type=click.Choice(PROJECTS), multiple=True,
              default=PROJECTS[:3], show_default=True)  # fmt: skip
@click.option("--torch", default="2.10.0", show_default=True, help="Version of torch.")
@click.option("--torchvision", default="0.25.0", show_default=True)
@click.option("--torchaudio", default="2.10.0", show_default=True)
@click.option("--accelerator", default="cpu", show_default=True, help="cpu or cuda130.")
@click.option("--local", default="", help="Local version, for example cpu or cu130.")
@click.option("--differs", type=click.Choice(get_args(Difference)), multiple=True,
              default=("build-id",), show_default=True,
              help="What the builds for several Pythons differ in.")  # fmt: skip
@click.option("--any-python", type=click.Choice(PROJECTS), multiple=True,
              help="A project with one py3-none wheel.")  # fmt: skip
@click.option("--corrupt", "how", type=click.Choice(list(CORRUPTIONS)), default=None,
              help="Spoil every wheel in this way.")  # fmt: skip
def main(
    out: Path,
    subdir: tuple[str, ...],
    pythons: tuple[str, ...],
    projects: tuple[str, ...],
    torch: str,
    torchvision: str,
    torchaudio: str,
    accelerator: str,
    local: str,
    differs: tuple[Difference, ...],
    any_python: tuple[str, ...],
    how: str | None,
) -> None:
    """Write tiny wheels of upstream's projects; the same options give the same bytes."""
    for name in subdir or platforms():
        release = Release(
            subdir=name,
            torch=torch,
            torchvision=torchvision,
            torchaudio=torchaudio,
            accelerator=accelerator,
            local=local,
            differs=frozenset(differs),
            any_python=frozenset(any_python),
        )
        for wheel in release.wheels(pythons, projects):
            click.echo((wheel if how is None else corrupt(wheel, how)).write(out))


if __name__ == "__main__":
    main()
