"""`python -m tests.forge`: the forge on the command line."""

import sys
from pathlib import Path

import click

from tests.forge import channel, machine, standins
from tests.forge.errors import ForgeError

_FOLDER = click.Path(file_okay=False, path_type=Path)
_out = click.option("--out", type=_FOLDER, required=True, help="The folder to make.")
_cache = click.option(
    "--cache", type=_FOLDER, default=None, help="Where downloads are kept.  [default: user cache]"
)


@click.group()
def main() -> None:
    """Make the offline base channel and the sysroot that the tests stand on."""


@main.command(
    epilog="""\b
Examples:
  python -m tests.forge build --out build/forge
  python -m tests.forge build --out build/forge --cache build/forge-cache --jobs 1"""
)
@_out
@_cache
@click.option(
    "--jobs", type=click.IntRange(1), default=2, show_default=True, help="Packages made at once."
)
def build(out: Path, cache: Path | None, jobs: int) -> None:
    """Make a conda channel of real linux-aarch64 packages.

    A second run does nothing unless the forge itself changed. Debian's mirror is the one apt is
    configured for; ARMTORCH_DEBIAN_MIRROR names another.
    """
    made = channel.ensure(cache, out=out, jobs=jobs, report=click.echo)
    click.echo(made.url)


@main.command(
    epilog="""\b
Examples:
  python -m tests.forge sysroot --out build/sysroot
  QEMU_LD_PREFIX=build/sysroot PREFIX/bin/python -c 'import numpy'"""
)
@_out
@_cache
def sysroot(out: Path, cache: Path | None) -> None:
    """Make a folder with the aarch64 loader and C library, for QEMU_LD_PREFIX."""
    click.echo(machine.sysroot(cache, out=out, report=click.echo))


@main.command("standins", epilog="Example:  python -m tests.forge standins --out build/standins")
@_out
def write_standins(out: Path) -> None:
    """Write a channel of records without files, to solve CUDA and macOS packages against."""
    click.echo(standins.write(out))


if __name__ == "__main__":
    try:
        main(prog_name="python -m tests.forge")
    except ForgeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
