"""The options and the context that subcommands share."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click

from generator.building.provenance import DECLARED
from generator.errors import SelectionError
from generator.matrix import Selection
from generator.model import Accelerator, Pythons
from generator.model.fields import python_word
from generator.provider.github import API, GitHub
from generator.urls import local_path

#: what rattler has a client for
_READ: Final = ("https", "http", "file", "s3")
_VIRTUAL: Final = re.compile(r"__[a-z][a-z0-9_]*=\S*")
_F = TypeVar("_F", bound=Callable[..., Any])


class NamedPath(click.Path):
    """A path that names something: an empty one, a variable that is not set, would be `.`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; an empty one is a usage error."""
        if value == "":
            self.fail("it names nothing; leave the option out, or name something", param, ctx)
        return super().convert(value, param, ctx)


_FILE = NamedPath(path_type=Path, dir_okay=False)
output_option = click.option("--output", type=_FILE, help="Append outputs here: GITHUB_OUTPUT.")
verdict_option = click.option(
    "--verdict", type=_FILE, help="Write here what speaks against packages, for armtorch ci hold."
)
summary_option = click.option("--summary", type=_FILE, help="Append Markdown: GITHUB_STEP_SUMMARY.")


class ManyValues(click.ParamType[tuple[Any, ...]]):
    """Values separated by commas or spaces; the option may also be repeated.

    An empty one (a variable of a script that is not set) is refused, unless it is said to be right:
    nobody who names no accelerator means all of them.
    """

    name = "list"

    def __init__(self, parse: Callable[[str], Any] = str, *, empty: bool = False) -> None:
        self._parse, self._empty = parse, empty

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """Split ``value``; a part that does not parse is a usage error."""
        if isinstance(value, tuple):
            return value
        try:
            found = tuple(self._parse(part) for part in str(value).replace(",", " ").split())
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not (found or self._empty):
            self.fail("it names nothing; leave the option out, or name something", param, ctx)
        return found


class VirtualPackage(click.ParamType[str]):
    """A virtual package and its version, ``__cuda=13.0`` (CEP 30)."""

    name = "virtual package"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text; one without a name or ``=`` is a usage error."""
        if not _VIRTUAL.fullmatch(value):
            self.fail(f"{value!r} is no virtual package; write it like __cuda=13.0", param, ctx)
        return str(value)


def joined(_: click.Context, __: click.Parameter, value: tuple[tuple[Any, ...], ...]) -> Any:
    """Make one tuple of an option that takes lists and may be repeated."""
    return tuple(part for parts in value for part in parts)


def many_option(
    name: str,
    into: str = "",
    *,
    help: str,  # noqa: A002 - click's name
    parse: Callable[[str], Any] = str,
) -> Callable[[_F], _F]:
    """Give a command an option that takes a list, and may be repeated; it gets it as ``into``."""
    return click.option(
        *filter(None, (name, into)),
        multiple=True,
        type=ManyValues(parse),
        callback=joined,
        metavar="A,B",
        help=help,
    )


def folder_option(
    name: str,
    into: str = "",
    *,
    help: str,  # noqa: A002 - click's name
    default: str | None = None,
    exists: bool = False,
    envvar: str | None = None,
    metavar: str | None = None,
    multiple: bool = False,
) -> Callable[[_F], _F]:
    """Give a command an option that takes a folder; it gets it as ``into``."""
    return click.option(
        *filter(None, (name, into)),
        type=NamedPath(path_type=Path, file_okay=False, exists=exists),
        default=default,
        show_default=default is not None,
        help=help,
        envvar=envvar,
        metavar=metavar,
        multiple=multiple,
    )


def sysroot_option(command: _F) -> _F:
    """Add ``--sysroot``."""
    return folder_option(
        "--sysroot",
        exists=True,
        envvar="ARMTORCH_SYSROOT",
        help="Folder with the loader and C library of a foreign Linux, for emulated runs.",
    )(command)


def virtual_option(
    into: str = "virtual_packages",
    *,
    help: str = "A virtual package of the machine, for example __cuda=13.0.",  # noqa: A002
    envvar: str | None = None,
) -> Callable[[_F], _F]:
    """Give a command an option for virtual packages, which may be repeated."""
    return click.option(
        "--virtual",
        into,
        multiple=True,
        type=VirtualPackage(),
        metavar="NAME=VERSION",
        help=help,
        envvar=envvar,
    )


def selection_options(command: _F) -> _F:
    """Add what picks variants: globs over their ids, and filters."""
    options: list[tuple[str, Any, str]] = [
        ("--subdir", str, "conda subdirs, for example linux-aarch64"),
        ("--accelerator", str, "cpu, cuda (any line), or one line such as cuda130"),
        ("--python", python_word, "Python builds: 3.12, 3.14t, all; without one: !3.15t"),
        ("--package", str, "conda package names, for example pytorch"),
    ]
    for name, parse, text in reversed(options):
        only = many_option(name, f"{name[2:]}s", parse=parse, help=f"Only these {text}.")
        command = only(command)
    return command


def selection(
    globs: tuple[str, ...],
    subdirs: tuple[str, ...],
    accelerators: tuple[str, ...],
    pythons: tuple[str, ...],
    packages: tuple[str, ...],
) -> Selection:
    """Put the options together; raise SelectionError for an accelerator nobody knows."""
    for text in accelerators:
        if text != "cuda":
            try:
                Accelerator.parse(text)
            except ValueError as error:
                raise SelectionError(
                    str(error), where="--accelerator", next_step="see: armtorch matrix"
                ) from error
    try:
        wanted = Pythons.parse(pythons)
    except ValueError as error:
        raise click.UsageError(f"--python: {error}") from error
    return Selection(
        globs=globs, subdirs=subdirs, accelerators=accelerators, pythons=wanted, packages=packages
    )


def provenance_option(text: str) -> Callable[[_F], _F]:
    """Add the address of the repository that packages state; without one feedstock.yaml's."""
    return click.option(
        "--provenance",
        is_flag=False,
        flag_value=DECLARED,
        default="",
        metavar="[URL]",
        help=f"{text} Without URL: feedstock.yaml's `repository`, and nothing where it has none.",
    )


def github_options(command: _F) -> _F:
    """Add GitHub's API, as ``hub``, and the name of a repository there."""

    @click.option("--repository", metavar="OWNER/NAME", help="Else that of feedstock.yaml.")
    @click.option("--api", envvar="GITHUB_API_URL", default=API, show_default=True, help="Its API.")
    @click.option("--token", envvar="GITHUB_TOKEN", default="", help="[env: GITHUB_TOKEN]")
    @functools.wraps(command)
    def wrapped(
        *arguments: Any, repository: str | None, api: str, token: str, **options: Any
    ) -> Any:
        hub = GitHub(url=api, token=token.strip())
        name = repository or declared_repository()
        return command(*arguments, hub=hub, repository=name, **options)

    return cast("_F", wrapped)


def declared_repository() -> str:
    """Return GitHub's name of the repository that feedstock.yaml names."""
    address = click.get_current_context().obj.declared().repository or ""
    found = re.fullmatch(r"https?://github\.com/([^/]+/[^/]+?)(\.git)?/?", address)
    if found is None:
        raise click.UsageError("feedstock.yaml names none at GitHub: --repository OWNER/NAME")
    return found[1]


def indexes_option(command: _F) -> _F:
    """Add ``--indexes``."""
    return many_option(
        "--indexes",
        help="Ask only these indexes of feedstock.yaml; what the lock has of others stays.",
    )(command)


def strict_option(command: _F) -> _F:
    """Add ``--strict``."""
    return click.option(
        "--strict",
        is_flag=True,
        help="Exit code 19 where anything is held back, 11 where an index does not answer.",
    )(command)


def json_option(command: _F) -> _F:
    """Add ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Write the result as JSON to standard output."
    )(command)


def refuse_no_channel(base: Sequence[str], own: str = "") -> None:
    """Raise SelectionError for a base channel that is a folder and no channel (CEP 26).

    So is an address that rattler does not read: it has no client for others than ``_READ``. The
    channel that is built, whose address is ``own``, may be its own base, and is not there yet.
    """
    for name in base:
        scheme = name.partition("://")[0].lower() if "://" in name else "https"
        # as conda takes it: me/label/dev is a name
        path = local_path(name) or (Path(name) if name.startswith((".", "/", "~")) else None)
        what = ""
        if scheme not in _READ:
            what = f"{scheme}:// is not read; {', '.join(_READ)} are"
        elif path is not None and not any(path.expanduser().glob("*/repodata.json*")):
            what = "it is no channel: no folder of a subdir there has a repodata.json"
        if what and name != own:
            raise SelectionError(
                what,
                where=f"--base {name}",
                next_step="name a channel, conda-forge for example, its URL, or its folder",
            )
