"""The ``armtorch`` command: runs a subcommand and turns errors into messages and exit codes."""

from __future__ import annotations

import signal
import sys

import click

from generator.commands import cli
from generator.errors import ArmtorchError, StorageError

INTERRUPTED = 130


def main() -> None:
    """Run the command line and leave with the exit code of what happened."""
    debug = "--debug" in sys.argv[1:]
    # what CI, a service or a closed terminal send: end the workers and clean up, as on Ctrl-C
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = _fail("stopped; run the same command again to go on", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except ArmtorchError as error:
        if debug:
            raise
        code = _fail(str(error), error.exit_code)
    except BrokenPipeError:
        code = 0
    except OSError as error:
        if debug:
            raise
        found = StorageError(
            error.strerror or str(error),
            where=str(error.filename or "a file"),
            next_step="check free space and permissions; --debug shows where it happened",
        )
        code = _fail(str(found), found.exit_code)
    sys.exit(code or 0)


def _fail(text: str, code: int) -> int:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(text, err=True)
    return code


if __name__ == "__main__":
    main()
