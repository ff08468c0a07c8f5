"""The ``armtorch`` command: runs a subcommand and turns errors into messages and exit codes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import NoReturn

import click

from generator.commands import cli
from generator.errors import ArmtorchError, StorageError

INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line and leave with the exit code of what happened.

    py-rattler's threads may still be on their way out of Python when what they did is done, and an
    interpreter that is torn down under them crashes: seen with py-rattler 0.28 as SIGSEGV or
    SIGABRT after one of ten index runs on a busy machine. All that was done is on the disk by
    then, so the process leaves without that.
    """
    try:
        code = _run()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def _run() -> int:
    debug = "--debug" in sys.argv[1:]
    # what CI, a service or a closed terminal send: end the workers and clean up, as on Ctrl-C
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        return cli.main(standalone_mode=False) or 0
    except click.exceptions.Abort:
        return _fail("stopped; run the same command again to go on", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ArmtorchError as error:
        if debug:
            raise
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        return 0
    except OSError as error:
        if debug:
            raise
        found = StorageError(
            error.strerror or str(error),
            where=str(error.filename or "a file"),
            next_step="check free space and permissions; --debug shows where it happened",
        )
        return _fail(str(found), found.exit_code)


def _fail(text: str, code: int) -> int:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(text, err=True)
    return code


if __name__ == "__main__":
    main()
