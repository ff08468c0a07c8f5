"""The ``armtorch`` command: runs a subcommand and turns errors into messages and exit codes."""

from __future__ import annotations

from generator.interrupts import INTERRUPTED, STOPPED, ending_at_once

with ending_at_once():  # before all that takes its time to be loaded
    import atexit
    import io
    import logging
    import os
    import signal
    import sys
    import warnings
    from typing import NoReturn

    import click

    from generator.errors import ArmtorchError, MissingToolError, StorageError
    from generator.printing import write, write_error


def main() -> NoReturn:
    """Run the command line and leave with the exit code of what happened."""
    try:
        code = _run()
    except SystemExit as error:  # click's own, where nobody takes the output any more
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    _leave(code)


def _run() -> int:
    debug = "--debug" in sys.argv[1:]
    if not debug:
        # libraries' own words for what servers and files of others have: armtorch says it itself
        logging.getLogger().addHandler(logging.NullHandler())
        warnings.simplefilter("ignore")
    # what CI, a service or a closed terminal send: end the workers and clean up, as on Ctrl-C;
    # who had one ignored (nohup) meant it
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        with ending_at_once():
            from generator.commands import cli  # noqa: PLC0415 - Ctrl-C may come while it is loaded

        return cli.main(prog_name="armtorch", standalone_mode=False) or 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _fail(STOPPED, INTERRUPTED)
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        write(said.getvalue(), nl=False, err=True)
        return error.exit_code
    except ArmtorchError as error:
        if debug:
            raise
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        return 0
    except (ImportError, OSError) as error:
        if debug:
            raise
        found = _lacking(error) if isinstance(error, ImportError) else _storage(error)
        return _fail(str(found), found.exit_code)


def _lacking(error: ImportError) -> ArmtorchError:
    """Say what a command needs that armtorch's own package does not bring (own_package.yaml)."""
    from generator.packages import own_requirements  # noqa: PLC0415 - only where it goes wrong

    return MissingToolError(
        "this command needs what is not installed here",
        where=str(error.name),
        next_step="have it in an environment of its own, with what makes channels: "
        f"conda create -n channels armtorch {' '.join(own_requirements().optional)}",
    )


def _storage(error: OSError) -> ArmtorchError:
    return StorageError(
        error.strerror or str(error),
        where=str(error.filename or "a file"),
        next_step="check free space and permissions; --debug shows where it happened",
    )


def _leave(code: int) -> NoReturn:
    """End the process without taking the interpreter apart.

    The threads of rattler and opendal finish their last call on their own time. One that asks for
    the interpreter while that is being taken apart ends the process with SIGSEGV or SIGABRT, after
    everything was done (pyo3-async-runtimes issue 40; seen after one of ten index runs and one of
    fifteen runs of `armtorch doctor` on a busy machine).
    """
    # what registered itself: multiprocessing ends its processes and removes its files here
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no public name for it
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            continue
        except OSError:
            code = code or StorageError.exit_code
    os._exit(code)


def _fail(text: str, code: int) -> int:
    write_error(text)
    return code


if __name__ == "__main__":
    main()
