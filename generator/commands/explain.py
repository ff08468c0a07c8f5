"""``armtorch explain``."""

from __future__ import annotations

import sys

import click

from generator.commands.options import ManyValues, json_option, many_option, virtual_option
from generator.commands.reaching import reach_options
from generator.errors import UnreachableError
from generator.explaining import Answer, answer_lines, decoded, to_json
from generator.explaining.answering import ExplainOptions, Reach, explain_input
from generator.model import PythonBuild
from generator.printing import write, write_json_text


@click.command("explain")
@click.argument("what", nargs=-1, required=True)
@click.option("--subdir", help="The conda subdir it is for. Default: this machine's.")
@virtual_option(
    "virtual",
    help="Set a virtual package, for example __cuda=12.6 or __glibc=2.31; can be repeated.",
)
@click.option(
    "--python",
    type=ManyValues(PythonBuild.parse),
    metavar="X.Y",
    help="The Python of the environment that it is to be installed into.",
)
@many_option(
    "--default-channels",
    help="What the client asks after the command's own channels. Default: conda-forge.",
)
@click.option(
    "--check",
    is_flag=True,
    help="For scripts: exit with 1 when an install in it does not work as it is, with "
    f"{UnreachableError.exit_code} when something was not looked at: a silent channel, a wheel.",
)
@reach_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    what: tuple[str, ...],
    subdir: str | None,
    virtual: tuple[str, ...],
    python: tuple[PythonBuild, ...] | None,
    default_channels: tuple[str, ...],
    reach: Reach,
    *,
    check: bool,
    as_json: bool,
) -> None:
    """Say why a conda, mamba, micromamba or pixi command fails, and which command works.

    WHAT is the command in quotes, a file (environment.yml, pixi.toml, a lock, a Dockerfile, a
    script, a README), or the error as it was printed (`-` reads it from standard input). Every
    install in it is judged, in order, pip's by their wheels. Every command that is suggested was
    solved.

    \b
    Examples:
      armtorch explain "conda install pytorch torchvision torchaudio cpuonly -c pytorch"
      armtorch explain "pixi add pytorch-gpu" --subdir linux-aarch64 --virtual __cuda=12.6
      armtorch explain environment.yml --subdir osx-arm64
      conda install torchaudio -c pytorch 2>&1 | armtorch explain -
      armtorch explain environment.yml --check || echo "not on this machine"

    Its exit code is 0 once it has explained, whatever it found; --check tells the outcomes apart.
    """
    text = decoded(sys.stdin.buffer.read()) if what == ("-",) else " ".join(what)
    options = ExplainOptions(
        subdir=subdir,
        virtual=virtual,
        python=str(python[0]) if python else None,
        default_channels=default_channels,
        reach=reach,
    )
    found = explain_input(ctx.obj, text, options)
    if as_json:
        write_json_text(to_json(Answer, found))
    else:
        for line in answer_lines(found):
            write(line)
    if check and found.outcome != "works":
        ctx.exit(UnreachableError.exit_code if found.outcome == "unknown" else 1)
