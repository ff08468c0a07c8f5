"""The command line: one module per subcommand, nothing but click and calls of stages."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from pathlib import Path

import click

from generator.console import narrator
from generator.documents import lay_over
from generator.interrupts import ending_at_once
from generator.project import Project

#: subcommands in the order people meet them; each is loaded when it is asked for
_COMMANDS = (
    "init",
    "up",
    "update",
    "indexes",
    "release",
    "render",
    "compile",
    "base",
    "build",
    "test",
    "lint",
    "verify",
    "map",
    "publish",
    "yank",
    "retire",
    "page",
    "matrix",
    "data",
    "explain",
    "coverage",
    "doctor",
    "export-feedstock",
    "ci",
    "schemas",
)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        try:
            with ending_at_once():
                module = importlib.import_module(f"generator.commands.{cmd_name.replace('-', '_')}")
        except ImportError as error:
            return _lacking(cmd_name, error)
        command = module.command
        assert isinstance(command, click.Command)  # noqa: S101 - narrows the type
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; of a mistyped one say which it may have been."""
        close = get_close_matches(args[0], _COMMANDS) if args else []
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if not close:
                raise
            said = f"{error.message} Did you mean {' or '.join(close)}?"
            raise click.UsageError(said, ctx) from error


def _lacking(name: str, error: ImportError) -> click.Command:
    """Stand for a command that needs what armtorch's own package does not bring.

    The list of commands is there all the same, and who asks for it gets the error.
    """

    def refuse() -> None:
        raise error

    return click.Command(
        name,
        callback=refuse,
        short_help="Needs more than is installed here.",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--feedstock",
    type=click.Path(path_type=Path, dir_okay=False),
    default="feedstock.yaml",
    show_default=True,
    envvar="ARMTORCH_FEEDSTOCK",
    help="The declaration to work on.",
)
@click.option("-q", "--quiet", is_flag=True, help="Only results and errors.")
@click.option("--debug", is_flag=True, help="Show where in the code an error came from.")
@click.version_option(package_name="armtorch")
@click.pass_context
def cli(ctx: click.Context, feedstock: Path, *, quiet: bool, debug: bool) -> None:  # noqa: ARG001
    """Put the PyTorch packages that ARM machines miss onto a conda channel of your own.

    \b
    The whole line, from upstream's wheels to a channel folder:
      armtorch up

    \b
    The same, step by step:
      armtorch update      what upstream has, into feedstock.lock.yaml
      armtorch render      recipes/, .ci_support/ and workflows from the lock
      armtorch build       packages into a channel folder
      armtorch test        install each package afresh and run its tests
      armtorch verify      prove that packages are made of upstream's bytes

    \b
    For somebody whose conda command fails:
      armtorch explain "conda install pytorch torchvision torchaudio -c pytorch"
      armtorch doctor      what this machine is, and the command for it
    """
    project = Project(feedstock=feedstock, narrator=narrator(quiet=quiet))
    # only beside a declaration: any folder may have one of that name
    lay_over(project.local_data if feedstock.is_file() else None)
    ctx.obj = project
